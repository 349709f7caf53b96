import { type AdminAnswer, type AdminPage, BadQueryError } from "./admin-page.ts";
import type { AdminSource } from "./types.ts";

const levels = ["trace", "debug", "info", "warning", "error", "critical", "off"];

export const loggingPage: AdminPage = {
  path: "/logging",
  isMutating: true,
  description: "query/change logging levels",
  parameters: [
    ["level", `a level for all loggers; one of ${levels.join(", ")}`],
    ["paths", "levels of several loggers, as NAME:LEVEL,NAME:LEVEL"],
    ["NAME", "the level of one logger"],
  ],
  answer(source, query) {
    for (const [name, value] of query) {
      if (name === "level") setLevel(source, value, undefined);
      else if (name === "paths") setPaths(source, value);
      else setLevel(source, value, name);
    }
    return listLevels(source);
  },
};

/** All of them are checked before the first is set: a mistake changes nothing. */
function setPaths(source: AdminSource, paths: string): void {
  const pairs = paths.split(",").map((pair) => pair.split(":"));
  const known = source.logLevels();
  for (const [name = "", level = ""] of pairs) {
    if (!levels.includes(level)) throw usage(source, "error: unknown logger level");
    if (!known.has(name)) throw usage(source, "error: unknown logger name");
  }
  for (const [name = "", level = ""] of pairs) setLevel(source, level, name);
}

function setLevel(source: AdminSource, level: string, component: string | undefined): void {
  if (!levels.includes(level)) throw usage(source, "error: unknown logger level");
  if (!source.setLogLevel(level, component)) throw usage(source, "error: unknown logger name");
}

function usage(source: AdminSource, problem: string): BadQueryError {
  const lines = [
    problem,
    "",
    "usage: /logging?<name>=<level> (change single level)",
    "usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)",
    "usage: /logging?level=<level> (change all levels)",
    `levels: ${levels.join(" ")}`,
  ];
  return new BadQueryError(`${lines.join("\n")}\n${listLevels(source).body}`);
}

function listLevels(source: AdminSource): AdminAnswer {
  const lines = [...source.logLevels()].map(([name, level]) => `  ${name}: ${level}\n`);
  return { body: `active loggers:\n${lines.join("")}` };
}
