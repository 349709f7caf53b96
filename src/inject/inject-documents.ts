/** Injection of a file of YAML documents. What is not injected stays as it is written, comments and all. */

import { applyPatch } from "rfc6902";
import { type Document, isAlias, isMap, isSeq, type Node, parseAllDocuments, type Tags, visit } from "yaml";
import { formatMessage } from "../lib/message.ts";
import { formatSkipped, injectObject, type ObjectSettings } from "./inject-object.ts";
import type { JsonPatch, PatchOperation } from "./json-patch.ts";

export interface InjectedDocuments {
  /** The whole file; undefined where there are errors. */
  readonly text?: string;
  /** Each with the number of its document, the object and the field. */
  readonly errors: readonly string[];
  /** Objects that are left alone, and warnings. */
  readonly remarks: readonly string[];
}

/**
 * Kubernetes reads YAML 1.1: 0644 is octal, yes is true, "<<" merges, and a string "yes" needs quotes. Dates and the like
 * are no values there.
 */
const kubernetesYaml = {
  logLevel: "error",
  uniqueKeys: true,
  schema: "yaml-1.1",
  merge: true,
  customTags: (tags: Tags): Tags =>
    tags.filter((tag) => typeof tag === "string" || !/:(timestamp|binary|omap|pairs|set)$/.test(tag.tag)),
} as const;

/** An alias costs nothing to write; a file that unfolds to more than this is a trap. */
const mostAliases = 100;

/** Injects every object of the text that makes pods. Documents of JSON are documents of YAML. Never throws. */
export function injectDocuments(text: string, settings: ObjectSettings): InjectedDocuments {
  const documents = parseAllDocuments(text, kubernetesYaml);
  const [errors, remarks, parts]: [string[], string[], string[]] = [[], [], []];
  if (!Array.isArray(documents)) return { text, errors, remarks };
  for (const [index, document] of documents.entries()) {
    const at = (line: string) => `document ${index + 1}: ${line}`;
    const object = readDocument(document);
    if ("problem" in object) {
      errors.push(at(object.problem));
      continue;
    }
    const { patch, skipped, messages } = injectObject(object.value, settings);
    for (const message of messages) (message.level === "error" ? errors : remarks).push(at(formatMessage(message)));
    remarks.push(...skipped.map((item) => at(formatSkipped(item))));
    // From the end of the one before, so that comments above a document are its own.
    const start = documents[index - 1]?.range[2] ?? 0;
    const source = text.slice(start, document.range[2]);
    parts.push(patch.length === 0 ? source : formatPatched(document, object.value, patch));
  }
  return errors.length > 0 ? { errors, remarks } : { text: joinDocuments(parts), errors, remarks };
}

function readDocument(document: Document): { readonly value: unknown } | { readonly problem: string } {
  const [error] = document.errors;
  if (error !== undefined) return { problem: `is not valid YAML: ${error.message.split("\n")[0] ?? ""}` };
  try {
    return { value: document.toJS({ maxAliasCount: mostAliases }) as unknown };
  } catch (cause: unknown) {
    return { problem: `is not valid YAML: ${cause instanceof Error ? cause.message : String(cause)}` };
  }
}

const format = { lineWidth: 0, singleQuote: null } as const;

function formatPatched(document: Document, value: unknown, patch: JsonPatch): string {
  if (hasAliases(document)) {
    // An operation on what stands behind an alias would change it everywhere: written out, each is its own.
    const plain = structuredClone(value);
    applyPatch(plain, patch as Parameters<typeof applyPatch>[1]);
    document.contents = document.createNode(plain) as typeof document.contents;
  } else for (const operation of patch) applyOperation(document, operation);
  return document.toString(format);
}

function hasAliases(document: Document): boolean {
  let found = false;
  visit(document, {
    Alias() {
      found = true;
      return visit.BREAK;
    },
    Pair(_key, pair) {
      // "<<: {…}" without an alias is a merge, too.
      if (isMergeKey(pair.key)) found = true;
    },
  });
  return found;
}

const isMergeKey = (key: unknown): boolean => !isAlias(key) && String(key) === "<<";

function applyOperation(document: Document, operation: PatchOperation): void {
  const path = operation.path
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  const last = path.at(-1) ?? "";
  const parent = path.slice(0, -1).reduce<unknown>((node, step) => openChild(node, step), open(document.contents));
  if (isSeq(parent)) {
    const added: Node[] = operation.op === "remove" ? [] : [document.createNode(operation.value)];
    parent.items.splice(Number(last), operation.op === "add" ? 0 : 1, ...added);
  } else if (isMap(parent)) {
    if (operation.op === "remove") parent.delete(last);
    else parent.set(last, document.createNode(operation.value));
  }
}

/** What is written in one line, in brackets, would become a very long one. */
function open(node: unknown): unknown {
  if (isMap(node) || isSeq(node)) node.flow = false;
  return node;
}

const openChild = (node: unknown, step: string): unknown =>
  isMap(node) || isSeq(node) ? open(node.get(isSeq(node) ? Number(step) : step, true)) : undefined;

/** The line that starts a document, below comments. */
const startLine = /^((?:[ \t]*(?:#.*)?\r?\n)*)---[ \t]*\r?\n/;

function joinDocuments(parts: readonly string[]): string {
  const plain = parts.map((part) => part.replace(startLine, "$1"));
  return plain.map((part) => (part === "" || part.endsWith("\n") ? part : `${part}\n`)).join("---\n");
}
