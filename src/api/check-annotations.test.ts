import { expect, test } from "vitest";
import { parseObject } from "./parse.ts";

const peers = (annotations: { readonly [name: string]: string }) =>
  parseObject({
    apiVersion: "security.istio.io/v1",
    kind: "PeerAuthentication",
    metadata: { name: "a", annotations },
    spec: {},
  });

test.each(["internal.istio.io/webhook-always-reject", "internal.istio.io/parents", "istio.io/dry-run"])(
  "an object with the annotation %s is refused",
  (name) => {
    const { object, messages } = peers({ [name]: "true" });
    expect(object).toBeUndefined();
    expect(messages.map(({ level, code, path }) => [level, code, path])).toEqual([
      ["error", "annotation", `metadata.annotations["${name}"]`],
    ]);
  },
);

test("other annotations are the user's own", () => {
  expect(peers({ "istio.io/other": "x" }).messages).toEqual([]);
});
