import { expect, it } from "vitest";
import { authorizeDebug, type DebugRules } from "./access.ts";

const rules: DebugRules = {
  checksNamespace: true,
  systemNamespace: () => "istio-system",
  allowedNamespaces: new Set(["ops"]),
};
const everything = { kind: "everything" };

it.each([
  ["registryz", "istio-system", everything],
  ["registryz", "ops", everything],
  ["registryz", "shop", undefined],
  ["syncz", "shop", undefined],
  ["sidecarz", "shop", undefined],
  ["config_dump", "shop", { kind: "namespace", namespace: "shop" }],
  ["edsz", "shop", { kind: "namespace", namespace: "shop" }],
  ["ndsz", "shop", { kind: "namespace", namespace: "shop" }],
  ["config_dump", "", undefined],
])("%s for %j", (page, namespace, reader) => {
  expect(authorizeDebug(page, namespace, rules)).toEqual(reader);
});

it("shows everything to whoever is known where namespaces are not checked", () => {
  expect(authorizeDebug("registryz", "shop", { ...rules, checksNamespace: false })).toEqual(everything);
});
