import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { compileListener } from "./compile-listener.ts";
import type { Listener } from "./listener.ts";
import { createTestEnv, listenerFrom, sayJson } from "./test-env.ts";

const address = { socket_address: { address: "127.0.0.1", port_value: 0 } };

function compile(word: string, previous: Listener | undefined): Listener {
  return compileListener({
    wire: listenerFrom({ name: "a", address, filter_chains: [{ filters: [sayJson(word)] }] }),
    origin: { isStatic: false, version: word },
    env: createTestEnv(),
    previous,
    nextConnectionId: () => 1,
    findByAddress: () => undefined,
  });
}

/** A listener that took the place of another one, and what shows whether that is still held, and its chain. */
function replaceOne(): { readonly next: Listener; readonly former: WeakRef<object>; readonly chain: WeakRef<object> } {
  const first = compile("one", undefined);
  const [chain = first] = first.parts.chains;
  return { next: compile("two", first), former: new WeakRef(first), chain: new WeakRef(chain) };
}

it("keeps nothing of the generation before, however many there were", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { next, former, chain } = replaceOne();
  // What a WeakRef was made of lives until the turn is over.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  expect([former.deref(), chain.deref()]).toEqual([undefined, undefined]);
  expect(next.parts.chains).toHaveLength(1);
});
