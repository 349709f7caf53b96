/** Reads Dockerfiles in the forms that ours use: continued lines, ARG before FROM, no here-documents. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./layout.ts";

export interface Instruction {
  /** In capitals: "COPY". */
  readonly name: string;
  readonly words: readonly string[];
}

export interface Stage {
  /** The image that it begins with, arguments filled in. */
  readonly image: string;
  /** What follows AS; its number where it has no name. */
  readonly name: string;
  readonly instructions: readonly Instruction[];
}

/** Stages in their order. `buildArguments` are those of `docker build --build-arg`. */
export function parseDockerfile(text: string, buildArguments: Readonly<Record<string, string>> = {}): readonly Stage[] {
  const values = new Map<string, string>();
  const stages: { image: string; name: string; instructions: Instruction[] }[] = [];
  for (const line of joinLines(text)) {
    const [word = "", ...words] = line.split(/\s+/);
    const name = word.toUpperCase();
    const stage = stages.at(-1);
    if (name === "ARG" && stage === undefined) {
      const [key = "", ...rest] = (words[0] ?? "").split("=");
      values.set(key, buildArguments[key] ?? rest.join("="));
    } else if (name === "FROM") {
      const image = (words[0] ?? "").replaceAll(/\$\{(\w+)\}/g, (_all, key: string) => values.get(key) ?? "");
      stages.push({ image, name: words[2] ?? String(stages.length), instructions: [] });
    } else stage?.instructions.push({ name, words });
  }
  return stages;
}

function joinLines(text: string): readonly string[] {
  return text
    .replaceAll(/^\s*#.*\n/gm, "")
    .replaceAll(/\\\n/g, " ")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Words of an instruction that may be a JSON array: ENTRYPOINT and CMD. */
export function parseCommand({ words }: Instruction): readonly string[] {
  return JSON.parse(words.join(" ")) as readonly string[];
}

/** `ENV A=b C="d e"`. */
export function parseEnvironment({ words }: Instruction): readonly string[] {
  return [...words.join(" ").matchAll(/(\w+)=(?:"([^"]*)"|(\S*))/g)].map(
    ([, key = "", quoted, plain]) => `${key}=${quoted ?? plain ?? ""}`,
  );
}

/** True for paths below the project's folder that .dockerignore lets through: the last rule that matches decides. */
export function createContextFilter(): (path: string) => boolean {
  const rules = readFileSync(join(root, ".dockerignore"), "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => ({ keeps: line.startsWith("!"), pattern: toPattern(line.replace("!", "")) }));
  return (path) => {
    const parts = path.split("/");
    // A rule for a folder holds for all that is in it.
    const places = parts.map((_part, index) => parts.slice(0, index + 1).join("/"));
    const last = rules.findLast(({ pattern }) => places.some((place) => pattern.test(place)));
    return last === undefined || last.keeps;
  };
}

/** "*" stays within a name; a leading double star is any depth. */
function toPattern(rule: string): RegExp {
  const anywhere = rule.startsWith("**/");
  const source = (anywhere ? rule.slice(3) : rule).replaceAll(".", "\\.").replaceAll("*", "[^/]*");
  return new RegExp(`^${anywhere ? "(?:.*/)?" : ""}${source}$`);
}
