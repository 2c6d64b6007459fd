/** The one client of these pages. */
import { Ichidai } from "./ichidai.js";

const { issuer, apps } = document.documentElement.dataset;

export const ichidai = new Ichidai({ issuer, apps: JSON.parse(apps) });
