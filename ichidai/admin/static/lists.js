/** All accounts, and the audit log, page by page. */
import { ask, attempt, paged, part, smallButton, text, time } from "./view.js";

/** Set both up; `show` shows an account by its uuid. */
export function mountLists(show) {
  mountAccounts(part("accounts_section"), show);
  mountAudit(part("audit_section"), show);
}

function mountAccounts(root, show) {
  const { state, inactive_days: days } = root.querySelector("form").elements;
  let wanted = {};
  const table = paged(root, "accounts", async (after) => {
    const page = await ask("/admin/list", { ...wanted, after });
    const rows = page.accounts.map((each) => [
      smallButton(each.username, () => attempt(root, () => show(each.uuid))),
      each.email,
      text(`state_${each.state}`),
      time(each.created_at),
    ]);
    return { rows, next: page.next_after };
  });
  onSubmit(root, () => {
    wanted = { state: state.value, inactive_days: days.value };
    return table.begin();
  });
}

function mountAudit(root, show) {
  const { about, since } = root.querySelector("form").elements;
  let wanted = {};
  const table = paged(root, "audit", async (before) => {
    const page = await ask("/admin/audit", { ...wanted, before });
    const rows = page.lines.map((line) => [
      time(line.at),
      [line.kind, ...Object.values(line.facts)].join(" · "),
      line.actor,
      line.username ? smallButton(line.username, () => attempt(root, () => show(line.user_uuid))) : (line.user_uuid ?? "–"),
      line.reason || "–",
    ]);
    return { rows, next: page.next_before };
  });
  onSubmit(root, async () => {
    wanted = { since: since.value && new Date(`${since.value}T00:00`).toISOString(), uuid: await uuidOf(about.value.trim()) };
    await table.begin();
  });
}

/** Return the uuid of the account that is named; null where none is. */
async function uuidOf(who) {
  if (!who) return null;
  const { accounts } = await ask("/admin/accounts", { who });
  if (accounts.length === 0) throw new Error(text("nobody"));
  if (accounts.length > 1) throw new Error(text("two", { uuids: accounts.map((each) => each.uuid).join(", ") }));
  return accounts[0].uuid;
}

function onSubmit(root, act) {
  root.querySelector("form").addEventListener("submit", (submitted) => {
    submitted.preventDefault();
    attempt(root, act);
  });
}
