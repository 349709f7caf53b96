import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { createTestMesh, parseMeshObjects, setObjects } from "../../test/support/mesh-objects.ts";
import { tlsSecret } from "../../test/support/secure-mesh.ts";
import { systemClock } from "../lib/clock.ts";
import { parseNode } from "../model/node.ts";
import { VerifiedIdentity } from "../model/verified-identity.ts";
import type { ScopeView } from "../translate/scope.ts";
import type { EncodedResource } from "./encode.ts";
import { internNames } from "./name-set.ts";
import { listSet } from "./resource-set.ts";
import { identitySecretAccess, noSecretAccess, type SecretAccess, SecretAnswers } from "./secret-answers.ts";

const namespaces = ["shop", "bank"] as const;
const secrets = await Promise.all(
  namespaces.flatMap((namespace) => ["web", "web-cacert", "api"].map((name) => tlsSecret(namespace, name))),
);
const builder = createTestMesh();
builder.apply(setObjects(parseMeshObjects(secrets.map(({ yaml }) => yaml).join(""))));
/** Of a view the answers read these alone. */
const view = { snapshot: builder.current, gateways: [] } as unknown as ScopeView;

function proxyOf(namespace: string) {
  const id = `router~10.0.0.1~gw.${namespace}~${namespace}.svc.cluster.local`;
  const proxy = parseNode({ id, metadata: { NAMESPACE: namespace } });
  if (typeof proxy === "string") throw new Error(proxy);
  return proxy;
}

function answersFor(namespace: string, access: SecretAccess, report = vi.fn()) {
  const proxy = proxyOf(namespace);
  const caller = { identity: { trustDomain: "a", namespace, serviceAccount: "gw" }, source: "token" as const };
  const identity = VerifiedIdentity.verify(proxy, caller);
  if (typeof identity === "string") throw new Error(identity);
  const answers = new SecretAnswers({ proxy, identity, access, clock: systemClock, onChange: () => undefined, report });
  const read = (names: readonly string[]): readonly EncodedResource[] | undefined => {
    const resolution = answers.resolve(view, internNames(names));
    return resolution && ([...listSet(resolution.set)] as EncodedResource[]);
  };
  return { answers, read, report };
}

const keysIn = (resources: readonly EncodedResource[]): readonly string[] => {
  const text = resources.map(({ bytes }) => Buffer.from(bytes).toString("latin1")).join("");
  return secrets.filter(({ key }) => text.includes(key)).map(({ object }) => JSON.stringify(metadataOf(object)));
};
const metadataOf = (object: object): unknown => (object as { readonly metadata: unknown }).metadata;

test("F-9: whatever is asked, in whatever order, nobody gets a key of another namespace or without the right to it", () => {
  const name = fc.oneof(
    fc.constantFrom("web", "api", "web-cacert", "api-cacert", "nosuch").map((base) => `kubernetes://${base}`),
    fc
      .tuple(fc.constantFrom("kubernetes", "kubernetes-gateway", "configmap"), fc.constantFrom(...namespaces, ""))
      .map(([scheme, namespace]) => `${scheme}://${namespace}/web`),
    fc.string({ maxLength: 30 }),
  );
  const step = fc.record({ who: fc.nat(3), names: fc.uniqueArray(name, { maxLength: 6 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const clients = [identitySecretAccess, noSecretAccess].flatMap((access) =>
        namespaces.map((namespace) => ({ namespace, access, ...answersFor(namespace, access) })),
      );
      for (const { who, names } of steps) {
        const client = clients[who];
        if (client === undefined) throw new Error("no client");
        const given = client.read(names) ?? [];
        for (const { name: resource } of given) expect(names).toContain(resource);
        const keys = keysIn(given);
        if (client.access === noSecretAccess) expect(keys).toEqual([]);
        for (const key of keys) expect(key).toContain(`"namespace":"${client.namespace}"`);
        // What was asked before, by whomever, changes nothing.
        const fresh = answersFor(client.namespace, client.access).read(names) ?? [];
        expect(given.map(({ version }) => version)).toEqual(fresh.map(({ version }) => version));
      }
    }),
    { numRuns: 200 },
  );
});

test("nothing is told before it is known whether secrets may be read, and nothing that was refused", () => {
  let answer: boolean | undefined;
  const close = vi.fn();
  const access: SecretAccess = { watch: () => ({ mayRead: () => answer, close }) };
  const { answers, read, report } = answersFor("shop", access);
  const names = ["kubernetes://web", "kubernetes://web-cacert"];
  expect(read(names)).toBeUndefined();
  // Certificates of authorities need no right: no question is open about them.
  expect(read(["kubernetes://web-cacert"])?.map((each) => each.name)).toEqual(["kubernetes://web-cacert"]);
  answer = false;
  expect(read(names)?.map((each) => each.name)).toEqual(["kubernetes://web-cacert"]);
  expect(read(names)).toBeDefined();
  expect(report.mock.calls).toEqual([
    [{ name: "kubernetes://web", reason: "service account shop/gw may not list secrets" }],
  ]);
  answer = true;
  expect(read(names)?.map((each) => each.name)).toEqual(names);
  answers.close();
  expect(close).toHaveBeenCalledTimes(1);
});

test("what pages can see of a secret holds no key, and neither does its version tell of it", () => {
  const [resource] = answersFor("shop", identitySecretAccess).read(["kubernetes://web"]) ?? [];
  expect(JSON.stringify(resource?.built.message)).toContain("[redacted]");
  expect(JSON.stringify(resource?.built.message)).not.toContain("PRIVATE KEY");
  expect(resource?.version).toMatch(/^[0-9a-f]{16}$/);
});

test("the same answer is the same set", () => {
  const { answers } = answersFor("shop", identitySecretAccess);
  const names = internNames(["kubernetes://web"]);
  const set = answers.resolve(view, names)?.set;
  expect(answers.resolve(view, names)?.set).toBe(set);
});

test("a snapshot gives no Secret away, and its vault shows nothing", async () => {
  const { inspect } = await import("node:util");
  const { current } = builder;
  expect((current.objects as (kind: string) => unknown[])("Secret")).toEqual([]);
  expect((current.findObject as (...words: string[]) => unknown)("Secret", "shop", "web")).toBeUndefined();
  expect(inspect(current, { depth: 20 })).not.toContain("PRIVATE KEY");
  expect(JSON.stringify(current.credentials)).not.toContain("PRIVATE KEY");
});
