// Transactions need a replica set, be it of one. Quits with 0 when there is one that takes writes.
try {
  rs.status();
} catch (error) {
  rs.initiate({ _id: "mongo", members: [{ _id: 0, host: "mongo-0.mongo-svc:27017" }] });
}
quit(db.hello().isWritablePrimary ? 0 : 1);
