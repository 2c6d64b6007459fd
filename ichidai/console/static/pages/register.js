/** Register: an account with this browser as its first device. */
import { ichidai } from "../suite.js";
import { onSubmit } from "../views.js";

export function mount(root) {
  const form = root.querySelector("form");
  onSubmit(root, form, async (fields) => {
    const { showDone } = await import("./done.js"); // first: what is answered is shown only once
    const answer = await ichidai.register(fields);
    form.reset();
    showDone(fields, answer);
  });
}
