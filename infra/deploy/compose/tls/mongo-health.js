// As infra/deploy/compose/mongo-health.js, by TLS.
const password = require("fs").readFileSync("/run/secrets/mongo_root", "utf8").trim();
const tls = "tls=true&tlsCAFile=/run/secrets/tls_ca&tlsCertificateKeyFile=/data/configdb/server.pem";
const user = `root:${encodeURIComponent(password)}`;
const admin = connect(`mongodb://${user}@127.0.0.1:27017/admin?directConnection=true&${tls}`);
const hello = admin.hello();
if (!hello.setName && hello.isreplicaset) {
  admin.adminCommand({ replSetInitiate: { _id: "orderfold", members: [{ _id: 0, host: "mongo:27017" }] } });
}
quit(admin.hello().isWritablePrimary && admin.hello().setName ? 0 : 1);
