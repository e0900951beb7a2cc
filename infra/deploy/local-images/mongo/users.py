"""Makes the users of MONGO_INITDB_ROOT_USERNAME and infra/deploy/compose/mongo-user.js in SecantusDB."""

from __future__ import annotations

import os
from pathlib import Path

import pymongo

client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient("127.0.0.1", 27018)
root = Path(os.environ["MONGO_INITDB_ROOT_PASSWORD_FILE"]).read_text().strip()
client.admin.command("createUser", os.environ["MONGO_INITDB_ROOT_USERNAME"], pwd=root, roles=["root"])
password = Path("/run/secrets/mongo_orderfold").read_text().strip()
roles = [{"role": "readWrite", "db": "orderfold"}]
client.orderfold.command("createUser", "orderfold", pwd=password, roles=roles)
