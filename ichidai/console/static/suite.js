/** The one client of these pages. */
import { Ichidai } from "./ichidai.js";
import { view } from "./views.js";

export const ichidai = new Ichidai({ issuer: document.documentElement.dataset.issuer, watch: Boolean(view("home")) });
