/** Approval: the active devices' users are asked before a takeover, and type the digits that this screen shows. */
const LOOK_MS = 1_000;

/**
 * Have the active devices' users asked. Returns the takeover that they agree to, or that the person consents to where
 * one is silent; null when the person would rather not. Throws Problem: `approval-refused`, say.
 * @param {import("./wire.js").Wire} wire
 * @param {import("../ichidai.js").Question} question
 * @param {(question: import("../ichidai.js").Question) => Promise<boolean>} ask
 * @param {(waiting: {digits: string, expires_in: number}, signal: AbortSignal) => Promise<unknown>} show
 */
export async function approved(wire, question, ask, show) {
  if (!(await ask(question))) return null;
  if (!question.approval) return question.takeover ?? null;
  const body = { approval_token: question.approval.token };
  const over = new AbortController();
  let cancelled = null;
  try {
    for (;;) {
      const answer = await wire.post("/login/approval", body);
      if (answer.takeover) return answer.takeover;
      cancelled ??= show(answer, over.signal).then(() => true);
      if (await Promise.race([cancelled, pause()])) return null;
    }
  } catch (problem) {
    if (problem.code !== "device-active") throw problem;
    over.abort();
    return approved(wire, problem.document, ask, show);
  } finally {
    over.abort();
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, LOOK_MS, false));
