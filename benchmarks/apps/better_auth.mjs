// better-auth with mail and password on better-sqlite3, its defaults otherwise; sessions are looked up at every request.
import cluster from "node:cluster";
import http from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const installed = createRequire(process.env.NODE_FOLDER + "/");
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);
const { betterAuth } = await load("better-auth");
const { toNodeHandler } = await load("better-auth/node");
const { getMigrations } = await load("better-auth/db/migration");

const port = Number(process.argv[2]);
const db = new (installed("better-sqlite3"))(process.env.DATA + "/peer.db");
db.pragma("journal_mode = WAL");
db.pragma("busy_timeout = 5000");
const auth = betterAuth({
  database: db,
  baseURL: `http://127.0.0.1:${port}`,
  secret: "b".repeat(40),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { level: "error" },
});

if (cluster.isPrimary) {
  await (await getMigrations(auth.options)).runMigrations();
  for (let i = 0; i < 2; i++) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  http.createServer(toNodeHandler(auth)).listen(port, "127.0.0.1");
}
