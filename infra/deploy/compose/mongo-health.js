// Healthy when this is a replica set's primary; makes it one the first time.
const password = require("fs").readFileSync("/run/secrets/mongo_root", "utf8").trim();
const admin = connect(`mongodb://root:${encodeURIComponent(password)}@127.0.0.1:27017/admin?directConnection=true`);
const hello = admin.hello();
if (!hello.setName && hello.isreplicaset) {
  admin.adminCommand({ replSetInitiate: { _id: "orderfold", members: [{ _id: 0, host: "mongo:27017" }] } });
}
quit(admin.hello().isWritablePrimary && admin.hello().setName ? 0 : 1);
