/** Sessions: where the account is logged in, and the end of another one. */
import { ichidai } from "../suite.js";
import { onEnter } from "../router.js";
import { fillList, nameOf, part, say, text } from "../views.js";
import { endSession, signed } from "./account.js";

export function mount(root) {
  const refresh = async () => display(root, (await ichidai.get("/session/list")).sessions, refresh);
  onEnter("sessions", () => {
    say(root, null);
    signed(root, refresh);
  });
}

function display(root, sessions, refresh) {
  const named = sessions.map((session) => ({ ...session, device_name: nameOf(session) }));
  fillList(root, "list", named, (row, session) => {
    part(row, "current").hidden = !session.current;
    const end = part(row, "end");
    end.hidden = session.current;
    end.setAttribute("aria-label", `${end.textContent}: ${session.device_name}`);
    end.addEventListener("click", () =>
      signed(root, async () => {
        await endSession(session.session_id);
        await refresh();
        say(root, text("session_over"));
        root.querySelector("h1").focus();
      }),
    );
  });
}
