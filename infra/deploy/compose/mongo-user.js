// The user of the read models and the gateway: their own database, nothing else.
db.getSiblingDB("orderfold").createUser({
  user: "orderfold",
  pwd: require("fs").readFileSync("/run/secrets/mongo_orderfold", "utf8").trim(),
  roles: [{ role: "readWrite", db: "orderfold" }],
});
