/** Which golden cases and behaviours set which fields. What they include does not count, and objects that are refused. */
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parse } from "yaml";
import { parseObjects } from "../../src/api/parse.ts";
import { readDocuments } from "../../test/support/translated-mesh.ts";
import { type FeatureKind, featureKinds, findSetFields } from "./fields.ts";

export interface Proofs {
  /** Names of cases, by kind and path, as "Gateway servers[].bind". */
  readonly golden: ReadonlyMap<string, readonly string[]>;
  /** Names of behaviours with their topic in front: "cors: an allowed origin …". */
  readonly behaviours: ReadonlyMap<string, readonly string[]>;
}

const root = resolve(import.meta.dirname, "../..");

export const proofKey = (kind: FeatureKind, path: string): string => `${kind} ${path}`;

/** Reads all cases and behaviours of the checkout. */
export function readProofs(): Proofs {
  return { golden: collect(listGoldenCases()), behaviours: collect(listBehaviours()) };
}

interface Proof {
  readonly name: string;
  readonly documents: readonly unknown[];
}

function collect(proofs: readonly Proof[]): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { name, documents } of proofs) {
    const keys = new Set(documents.flatMap(listKeys));
    for (const key of keys) found.set(key, [...(found.get(key) ?? []), name]);
  }
  return found;
}

function listKeys(document: unknown): readonly string[] {
  return parseObjects(document).flatMap(({ object }) => {
    const kind = featureKinds.find((one) => one === object?.kind);
    if (kind === undefined || object === undefined) return [];
    return [...findSetFields(kind, object.spec)].map((path) => proofKey(kind, path));
  });
}

function listGoldenCases(): readonly Proof[] {
  const folder = join(root, "test/golden");
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return names
    .map(({ name }) => name)
    .filter((name) => !name.startsWith("_"))
    .sort()
    .map((name) => {
      const [, ...documents] = readNamed(name, readFileSync(join(folder, name, "in.yaml"), "utf8"));
      return { name, documents };
    });
}

interface Behaviour {
  readonly name: string;
  readonly config?: string;
  readonly files?: readonly string[];
}

function listBehaviours(): readonly Proof[] {
  const folder = join(root, "test/envoy/behaviours");
  const files = readdirSync(folder);
  // A topic has a test of its name beside it; other files are what the topics stand on.
  const topics = files.filter((file) => file.endsWith(".yaml") && files.includes(file.replace(/\.yaml$/, ".test.ts")));
  return topics.sort().flatMap((file) => {
    const list = parse(readFileSync(join(folder, file), "utf8")) as readonly Behaviour[];
    return list.map(({ name, config = "", files: more = [] }) => {
      const texts = [config, ...more.map((path) => readFileSync(join(root, path), "utf8"))];
      return {
        name: `${file.slice(0, -".yaml".length)}: ${name}`,
        documents: texts.flatMap((text) => readNamed(name, fillPlaceholders(text))),
      };
    });
  });
}

function readNamed(name: string, text: string): readonly unknown[] {
  try {
    return readDocuments(text);
  } catch (cause) {
    throw new Error(`${name}: not readable as YAML`, { cause });
  }
}

/** Behaviours leave ports and folders open; any number does here, as long as it is the same for the same word. */
function fillPlaceholders(text: string): string {
  const words: string[] = [];
  return text.replace(/\$\{([^}]*)\}/g, (_, word: string) => {
    if (!words.includes(word)) words.push(word);
    return String(20_000 + words.indexOf(word));
  });
}
