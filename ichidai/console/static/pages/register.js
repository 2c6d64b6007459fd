/** Register: an account with this browser as its first device. An invitation opens the form where it is closed. */
import { ichidai } from "../suite.js";
import { onInvitationInAddress } from "../router.js";
import { onSubmit, part } from "../views.js";

export function mount(root) {
  const form = root.querySelector("form");
  let invitation = null;
  onInvitationInAddress((token) => {
    invitation = token;
    form.hidden = false;
    part(root, "invited").hidden = false;
    part(root, "closed")?.remove();
  });
  onSubmit(root, form, async (fields) => {
    const { showDone } = await import("./done.js"); // first: what is answered is shown only once
    const answer = await ichidai.register(invitation ? { ...fields, invitation } : fields);
    invitation = null;
    part(root, "invited").hidden = true;
    form.reset();
    await showDone(fields, answer, { isFirst: true });
  });
}
