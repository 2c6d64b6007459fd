/** The console: one client, its views, and the address that says which is first. */
import { ichidai } from "./suite.js";
import * as ended from "./pages/ended.js";
import { loadInside } from "./pages/inside.js";
import * as join from "./pages/join.js";
import * as login from "./pages/login.js";
import * as register from "./pages/register.js";
import * as shell from "./pages/shell.js";
import { start } from "./router.js";
import { settled } from "./settling.js";
import { view } from "./views.js";

const PAGES = { register, join, login, ended };

const elsewhere = settled(location, document.documentElement.dataset.console);
if (elsewhere) location.replace(elsewhere);
else await open();

async function open() {
  shell.mount();
  ichidai.onCodeNeeded(async (asked) => (await import("./pages/code.js")).askForCode(asked));
  for (const [name, page] of Object.entries(PAGES)) page.mount(view(name));
  if (await ichidai.resume()) await loadInside();
  start(() => ichidai.session !== null);
  ended.showAgain(view("ended"));
}
