import type { AdminAnswer, AdminPage } from "./admin-page.ts";

/** All pages with their parameters, as text. */
export function formatHelp(pages: readonly AdminPage[]): string {
  const lines = sortPages(pages).flatMap(({ path, isMutating = false, description, parameters = [] }) => [
    `  ${path}${isMutating ? " (POST)" : ""}: ${description}`,
    ...parameters.map(([name, meaning]) => `      ${name}: ${meaning}`),
  ]);
  return `admin commands are:\n${lines.map((line) => `${line}\n`).join("")}`;
}

/** The page at "/": links to pages that show something, buttons for those that change something. */
export function buildHomePage(pages: readonly AdminPage[]): AdminAnswer {
  const rows = sortPages(pages).map(({ path, isMutating = false, description }) => {
    const entry = isMutating
      ? `<form action="${path.slice(1)}" method="post"><button>${path.slice(1)}</button></form>`
      : `<a href="${path.slice(1)}">${path.slice(1)}</a>`;
    return `<tr><td>${entry}</td><td>${description.replaceAll("<", "&lt;")}</td></tr>`;
  });
  const head = '<!DOCTYPE html>\n<html lang="en"><head><title>Meltemi proxy</title></head><body>';
  return { type: "html", body: `${head}\n<table>\n${rows.join("\n")}\n</table>\n</body></html>\n` };
}

function sortPages(pages: readonly AdminPage[]): readonly AdminPage[] {
  return pages.toSorted((left, right) => (left.path < right.path ? -1 : 1));
}
