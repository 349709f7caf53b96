/**
 * The law of the builder: whatever the order of changes, the mesh is the one that the objects of this moment make, and
 * what a change does not touch stays the very same object.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { parseMeshObjects } from "../../test/support/mesh-objects.ts";
import type { MeshObject } from "../api/kinds.ts";
import { refOf } from "../api/object.ts";
import { objectKey } from "../lib/message.ts";
import { serviceKey } from "../model/service.ts";
import type { ObjectChange } from "../sources/source.ts";
import { createSnapshotBuilder } from "./build.ts";
import type { Snapshot } from "./snapshot.ts";

const options = { domain: "cluster.local", clusterId: "c1" };
const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9"];

// Small pools, so that the same few names meet again and again in all roles.
const small = fc.integer({ min: 1, max: 3 });
const app = fc.constantFrom("a", "b");

const yaml = fc.oneof(
  fc.record({ n: small, app, headless: fc.boolean(), scope: fc.constantFrom("*", ".", "other") }).map(
    ({ n, app, headless, scope }) => `
apiVersion: v1
kind: Service
metadata: {name: s${n}, namespace: ns, annotations: {networking.istio.io/exportTo: "${scope}"}}
spec: {clusterIP: ${headless ? "None" : `10.96.0.${n}`}, selector: {app: ${app}}, ports: [{name: http, port: 80, targetPort: web}]}`,
  ),
  fc.record({ n: small, target: small }).map(
    ({ n, target }) => `
apiVersion: v1
kind: Service
metadata: {name: s${n}, namespace: ns}
spec: {type: ExternalName, externalName: s${target}.ns.svc.cluster.local, ports: [{name: http, port: 80}]}`,
  ),
  fc.record({ n: small, service: small, pods: fc.uniqueArray(small), ready: fc.boolean(), named: fc.boolean() }).map(
    ({ n, service, pods, ready, named }) => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: slice${n}, namespace: ns, labels: {kubernetes.io/service-name: s${service}}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints: [${pods
      .map(
        (pod) =>
          `{addresses: [10.0.0.${pod}], conditions: {ready: ${ready}}${named ? `, targetRef: {kind: Pod, name: p${pod}, namespace: ns}` : ""}}`,
      )
      .join(", ")}]`,
  ),
  fc
    .record({
      n: small,
      address: small,
      app,
      node: small,
      phase: fc.constantFrom("Running", "Failed"),
      host: fc.boolean(),
    })
    .map(
      ({ n, address, app, node, phase, host }) => `
apiVersion: v1
kind: Pod
metadata: {name: p${n}, namespace: ns, labels: {app: ${app}}}
spec: {nodeName: node${node}, serviceAccountName: sa${n}, hostNetwork: ${host}, containers: [{name: c, ports: [{name: web, containerPort: 8080}]}]}
status: {phase: ${phase}, podIP: 10.0.0.${address}, podIPs: [{ip: 10.0.0.${address}}]}`,
    ),
  fc.record({ n: small, zone: small }).map(
    ({ n, zone }) => `
apiVersion: v1
kind: Node
metadata: {name: node${n}, labels: {topology.kubernetes.io/region: r, topology.kubernetes.io/zone: z${zone}}}`,
  ),
  fc.record({ n: small, app, address: small }).map(
    ({ n, app, address }) => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: we${n}, namespace: ns}
spec: {address: 10.0.0.${address}, labels: {app: ${app}}, ports: {web: 9000}}`,
  ),
  fc.record({ n: small, host: small, app, selects: fc.boolean(), port: small }).map(
    ({ n, host, app, selects, port }) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: se${n}, namespace: ns}
spec:
  hosts: [s${host}.ns.svc.cluster.local, e${host}.example]
  ports: [{number: ${80 + port}, name: p${port}, protocol: HTTP}]
  resolution: STATIC
  ${selects ? `workloadSelector: {labels: {app: ${app}}}` : "endpoints: [{address: 10.0.0.9}]"}`,
  ),
  fc.record({ n: small, delegate: fc.option(small), host: fc.boolean() }).map(
    ({ n, delegate, host }) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: v${n}, namespace: ns}
spec:
  ${host ? `hosts: [s${n}]` : "exportTo: ['.']"}
  http:
  - match: [{uri: {prefix: /${n}}, sourceLabels: {app: a${n}}}]
    ${delegate !== null && host ? `delegate: {name: v${delegate}}` : `route: [{destination: {host: s${n}}}]`}`,
  ),
  fc.record({ n: small, host: small }).map(
    ({ n, host }) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: d${n}, namespace: ns}
spec: {host: s${host}, workloadSelector: {matchLabels: {tier: t${n}}}, subsets: [{name: v1}]}`,
  ),
  fc.record({ network: small }).map(
    ({ network }) => `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system, labels: {topology.istio.io/network: net${network}}}`,
  ),
  fc.constantFrom('defaultServiceExportTo: ["."]', 'defaultVirtualServiceExportTo: ["."]', "rootNamespace: [").map(
    (text) => `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: '${text}'}`,
  ),
);

const change: fc.Arbitrary<ObjectChange> = fc
  .record({ text: yaml, deleted: fc.integer({ min: 0, max: 3 }) })
  .map(({ text, deleted }) => {
    const [object] = parseMeshObjects(text);
    if (object === undefined) throw new Error(`no object in ${text}`);
    return deleted === 0 ? { type: "deleted", ref: refOf(object) } : { type: "set", object };
  });

/** Everything that a snapshot says, as plain data. */
function project(snapshot: Snapshot): unknown {
  return {
    mesh: snapshot.mesh,
    services: snapshot.services.all,
    byHostname: snapshot.services.all.map(({ hostname }) => snapshot.services.byHostname(hostname)),
    found: snapshot.services.all.map(({ hostname, namespace }) => snapshot.services.find(hostname, namespace)),
    endpoints: [...snapshot.endpoints.entries()].sort(([a], [b]) => (a < b ? -1 : 1)),
    servicesAt: addresses.map((address) => snapshot.endpoints.servicesAt(address)),
    workloads: snapshot.workloads.all,
    byAddress: addresses.map((address) => snapshot.workloads.byAddress(address)),
    virtualServices: snapshot.virtualServices,
    byGateway: [...snapshot.virtualServicesByGateway],
    destinationRules: snapshot.destinationRules,
    namespaceLabels: [...snapshot.namespaceLabels],
    selectorLabels: [...snapshot.selectorLabels].sort(),
    pairs: [...snapshot.selectorPairs.outbound].sort(),
  };
}

function applyTo(objects: Map<string, MeshObject>, changes: readonly ObjectChange[]): void {
  for (const one of changes) {
    if (one.type === "set") objects.set(objectKey(refOf(one.object)), one.object);
    else objects.delete(objectKey(one.ref));
  }
}

/** Last good settings are history, so that a builder from scratch must be shown a ConfigMap that it can read. */
const isBadConfig = (one: ObjectChange): boolean =>
  one.type === "set" && one.object.kind === "ConfigMap" && (one.object.spec.data["mesh"] ?? "").endsWith("[");

it("makes of any history what the objects at its end make", () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 12 }), (steps) => {
      const builder = createSnapshotBuilder(options);
      const objects = new Map<string, MeshObject>();
      for (const step of steps) {
        const readable = step.filter((one) => !isBadConfig(one));
        builder.apply({ changes: readable, problems: [] });
        applyTo(objects, readable);
      }
      const fresh = createSnapshotBuilder(options);
      fresh.apply({ changes: [...objects.values()].map((object) => ({ type: "set", object })), problems: [] });
      expect(project(builder.current)).toEqual(project(fresh.current));
      expect(builder.current.messages.map((message) => message.text).sort()).toEqual(
        fresh.current.messages.map((message) => message.text).sort(),
      );
    }),
    { numRuns: 200 },
  );
});

it("keeps what a change does not touch, tells what it does, and never changes an older snapshot", () => {
  fc.assert(
    fc.property(fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 8 }), (steps) => {
      const builder = createSnapshotBuilder(options);
      for (const step of steps) {
        const before = builder.current;
        const frozen = structuredClone(project(before));
        const { after, services, endpoints } = builder.apply({ changes: step, problems: [] });
        expect(structuredClone(project(before))).toEqual(frozen);
        const keys = new Set([...before.services.all, ...after.services.all].map(serviceKey));
        for (const key of keys) {
          const [namespace = "", hostname = ""] = key.split("/");
          const [old, current] = [before, after].map((snapshot) => snapshot.services.find(hostname, namespace));
          expect(old === current).toBe(!services.has(key));
          const lists = [before, after].map((snapshot) => snapshot.endpoints.list(hostname, namespace));
          expect(lists[0] === lists[1]).toBe(!endpoints.has(key));
          if (endpoints.has(key)) expect(lists[0]).not.toEqual(lists[1]);
        }
        if (services.size === 0) expect(after.services).toBe(before.services);
        if (endpoints.size === 0) expect(after.endpoints).toBe(before.endpoints);
      }
    }),
    { numRuns: 200 },
  );
});
