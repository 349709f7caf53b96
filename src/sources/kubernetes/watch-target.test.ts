import { expect, it } from "vitest";
import { istioKinds } from "../../api/known-kinds.ts";
import { istioResources } from "../../api/resource-names.ts";
import { listTargets, pathOf, resourceNameOf } from "./watch-target.ts";

const options = { systemNamespace: "istio-system", secretNamespaces: [] };
const paths = (given: Partial<Parameters<typeof listTargets>[0]>) =>
  listTargets({ ...options, ...given }).map((target) => pathOf(target, target.versions[0] ?? ""));

it("watches every kind of Istio that is read and has a name at the API server", () => {
  const kinds = listTargets(options).map(({ kind }) => kind as string);
  const readable = Object.keys(istioResources).filter((kind) => Object.hasOwn(istioKinds, kind));
  expect(kinds).toEqual(expect.arrayContaining(readable));
});

it("watches no Secrets where no namespace is given, and ConfigMaps only in the system's namespace", () => {
  expect(paths({ kinds: ["Secret"] })).toEqual([]);
  expect(paths({ kinds: ["Secret"], secretNamespaces: ["a", "b", "a"] })).toEqual([
    "/api/v1/namespaces/a/secrets",
    "/api/v1/namespaces/b/secrets",
  ]);
  expect(paths({ kinds: ["ConfigMap"] })).toEqual(["/api/v1/namespaces/istio-system/configmaps"]);
});

it("watches single ConfigMaps by name", () => {
  const targets = listTargets({ ...options, kinds: ["ConfigMap"], configMapNames: ["istio", "istio-canary"] });
  expect(targets.map(({ fieldSelector }) => fieldSelector)).toEqual([
    "metadata.name=istio",
    "metadata.name=istio-canary",
  ]);
  expect(new Set(targets.map(({ id }) => id)).size).toBe(2);
});

it("confines namespaced kinds to one namespace, and no others", () => {
  expect(paths({ kinds: ["Service", "Node", "Gateway"], watchNamespace: "shop" })).toEqual([
    "/api/v1/namespaces/shop/services",
    "/api/v1/nodes",
    "/apis/networking.istio.io/v1/namespaces/shop/gateways",
  ]);
});

it("names resources as RBAC does", () => {
  const names = listTargets({ ...options, kinds: ["Pod", "Gateway"] }).map(resourceNameOf);
  expect(names).toEqual(["pods", "gateways.networking.istio.io"]);
});
