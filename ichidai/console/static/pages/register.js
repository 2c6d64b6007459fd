/** Register: an account with this browser as its first device. */
import { ichidai } from "../suite.js";
import { onSubmit } from "../views.js";
import { showDone } from "./done.js";

export function mount(root) {
  const form = root.querySelector("form");
  onSubmit(root, form, async (fields) => {
    const answer = await ichidai.register(fields);
    form.reset();
    showDone(fields, answer);
  });
}
