// oidc-provider with introspection and revocation of opaque tokens, kept in SQLite by an adapter like its examples'.
import cluster from "node:cluster";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = createRequire(process.env.NODE_FOLDER + "/");
const { default: Provider } = await import(pathToFileURL(installed.resolve("oidc-provider")).href);

const port = Number(process.argv[2]);
const db = new (installed("better-sqlite3"))(process.env.DATA + "/peer.db");
db.pragma("journal_mode = WAL");
db.pragma("busy_timeout = 5000");
db.exec("create table if not exists kept(id text primary key, payload text, grant_id text)");
const find = db.prepare("select payload from kept where id = ?");
const put = db.prepare("insert or replace into kept values (?, ?, ?)");
const remove = db.prepare("delete from kept where id = ?");
const removeGrant = db.prepare("delete from kept where grant_id = ?");

class Adapter {
  constructor(kind) { this.kind = kind; }
  id(name) { return `${this.kind}:${name}`; }
  async upsert(name, payload) { put.run(this.id(name), JSON.stringify(payload), payload.grantId ?? null); }
  async find(name) { const row = find.get(this.id(name)); return row && JSON.parse(row.payload); }
  async findByUid() {}
  async findByUserCode() {}
  async destroy(name) { remove.run(this.id(name)); }
  async consume() {}
  async revokeByGrantId(grant) { removeGrant.run(grant); }
}

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  const client = {
    client_id: "c",
    client_secret: "s".repeat(32),
    grant_types: ["client_credentials"],
    redirect_uris: [],
    response_types: [],
  };
  const features = {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    devInteractions: { enabled: false },
  };
  new Provider(`http://127.0.0.1:${port}`, { adapter: Adapter, clients: [client], features, cookies: { keys: ["x"] } })
    .listen(port, "127.0.0.1");
}
