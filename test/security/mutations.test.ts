/** The lists of deliberate breaks must fit the sources, and every number must have one. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { applyMutation, readMutations } from "../../tools/security/mutations.ts";

const root = resolve(import.meta.dirname, "../..");
const mutations = readMutations(root);

test.each(mutations.map((mutation) => [mutation.id, mutation.file, mutation] as const))(
  "%s can be broken in %s, and its tests are there",
  (id, file, mutation) => {
    const text = readFileSync(join(root, file), "utf8");
    expect(applyMutation(text, mutation)).not.toBe(text);
    expect(readFileSync(join(root, mutation.tests), "utf8")).toMatch(new RegExp(`["'\`]${id} `));
  },
);
