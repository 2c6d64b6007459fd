/** What surrounds the views: the language switch and the way out. */
import { ichidai } from "../suite.js";
import { go } from "../router.js";
import { part, say, text, view, wordsFor } from "../views.js";

const YEAR_SECONDS = 31_536_000;

export function mount() {
  const bar = document.querySelector(".bar");
  part(bar, "language").addEventListener("click", ({ currentTarget }) => {
    document.cookie = `ichidai_language=${currentTarget.dataset.language}; Path=/; Max-Age=${YEAR_SECONDS}; SameSite=Lax`;
    location.reload();
  });
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-part='reveal']");
    if (button) reveal(button, button.getAttribute("aria-pressed") === "false");
  });
  document.addEventListener("submit", ({ target }) => {
    for (const button of target.querySelectorAll("[data-part='reveal']")) reveal(button, false);
  });
  part(bar, "out").addEventListener("click", ({ currentTarget }) => logOut(currentTarget));
}

/** Show a password as it is typed, or hide it again. */
function reveal(button, isShown) {
  button.setAttribute("aria-pressed", isShown);
  button.previousElementSibling.type = isShown ? "text" : "password";
}

async function logOut(button) {
  button.disabled = true;
  try {
    await ichidai.logOut();
  } catch (problem) {
    if (ichidai.session) say(document.querySelector("main > [data-view]"), wordsFor(problem), { bad: true });
  } finally {
    button.disabled = false;
  }
}

/** Be at the login after a logout here. */
export function afterLogout() {
  go("/login");
  say(view("login"), text("logged_out"));
}
