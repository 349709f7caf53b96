/**
 * One mesh for all runs, as in a long-lived control plane: each run changes some objects of namespace "shop", and the
 * next one mends them in the same step as it breaks others. After a run everything that its proxies would be sent is
 * checked, and the proxy of namespace "quiet" must be sent the very same bytes as before.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { encode, findUnknownKeys } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { ClusterLoadAssignment } from "@meltemi/protos/envoy/config/endpoint/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import type { NameTable } from "@meltemi/protos/istio/networking/nds/v1";
import type { MeshObject } from "../../src/api/kinds.ts";
import { refOf } from "../../src/api/object.ts";
import { parseObject } from "../../src/api/parse.ts";
import { contentHash } from "../../src/lib/hash.ts";
import { objectKey } from "../../src/lib/message.ts";
import type { ObjectChange } from "../../src/sources/source.ts";
import {
  applyDocuments,
  createBuilder,
  describeProxy,
  type ProxyDescription,
  type ResourcesOfProxy,
  readDocuments,
  translateFor,
  typeNames,
} from "../support/translated-mesh.ts";
import { checkAddresses, checkCluster, checkEndpoints, checkListener, checkRoute, listRepeated } from "./invariants.ts";

const read = (name: string): readonly object[] =>
  readDocuments(readFileSync(join(import.meta.dirname, name), "utf8")) as readonly object[];
/** Raw objects that runs mutate. */
export const targets = read("mesh.yaml");
const neighbour = read("neighbour.yaml");
const resourceKinds = Object.keys(typeNames) as readonly (keyof ResourcesOfProxy)[];

const shop = { address: "10.60.0.10", namespace: "shop", labels: { app: "cart", version: "v1" } };
const victims = (
  [
    { ...shop, name: "sidecar", type: "sidecar", workload: "cart-v1", istioVersion: "1.31.0" },
    { ...shop, name: "unintercepted", type: "sidecar", workload: "cart-v1", metadata: { INTERCEPTION_MODE: "NONE" } },
    {
      ...shop,
      name: "gateway",
      type: "router",
      workload: "edge-1",
      labels: { istio: "ingress" },
      istioVersion: "1.31.0",
    },
  ] satisfies readonly ProxyDescription[]
).map(describeProxy);
const calm = describeProxy({
  name: "calm",
  type: "sidecar",
  address: "10.61.0.1",
  workload: "calm-v1",
  namespace: "quiet",
  labels: { app: "calm", version: "v1" },
  istioVersion: "1.31.0",
});

/** One run in so many looks closer: for members that the encoder passes over, and without trust in what was seen before. */
const closeLookEvery = 8;

export interface FuzzedMesh {
  /** Takes the changes in, after mending those of the last run; what is wrong with the outcome, nothing where all is well. */
  run(changes: readonly ObjectChange[]): readonly string[];
  /** Mends what the last run broke; false where the proxies of the namespace get other bytes than at the start. */
  mend(): boolean;
}

/** Creates the mesh of mesh.yaml and neighbour.yaml. */
export function createFuzzedMesh(): FuzzedMesh {
  const builder = createBuilder();
  applyDocuments(builder, [...neighbour, ...targets]);
  const originals = new Map(targets.map((raw) => parseGood(raw)).map((object) => [objectKey(refOf(object)), object]));
  let broken: ReadonlyMap<string, ObjectChange> = new Map();
  let runs = 0;
  const hashOf = (proxy: typeof calm): string => hashResources(translateFor(builder.current, proxy), () => undefined);
  const hashesOfVictims = (): string => victims.map(hashOf).join();
  const [expected, expectedOfVictims] = [hashOf(calm), hashesOfVictims()];

  const takeIn = (changes: readonly ObjectChange[]): void => {
    const mending = [...broken.values()];
    broken = new Map(changes.map((change) => mendingOf(change, originals)).map((mend) => [keyOf(mend), mend]));
    builder.apply({ changes: [...mending, ...changes], problems: [] });
  };
  return {
    run(changes) {
      // Everything was refused: the mesh is that of before, which was looked at then.
      if (changes.length === 0) return [];
      const isClose = ++runs % closeLookEvery === 0;
      takeIn(changes);
      if (isClose) void builder.current.messages;
      const problems: string[] = [];
      for (const proxy of victims) problems.push(...checkProxy(translateFor(builder.current, proxy), isClose));
      const ofCalm = translateFor(builder.current, calm);
      const hash = isClose ? hashResources(ofCalm, () => undefined) : hashResources(ofCalm, hashKnown);
      if (hash !== expected) problems.push("the proxy of namespace quiet gets other bytes");
      return problems;
    },
    mend() {
      takeIn([]);
      return hashesOfVictims() === expectedOfVictims && hashOf(calm) === expected;
    },
  };
}

/** Throws where the object is refused. */
export function parseGood(raw: unknown): MeshObject {
  const { object, messages } = parseObject(raw);
  if (object === undefined) throw new Error(messages.map((message) => message.text).join());
  return object;
}

const keyOf = (change: ObjectChange): string => objectKey(change.type === "set" ? refOf(change.object) : change.ref);

function mendingOf(change: ObjectChange, originals: ReadonlyMap<string, MeshObject>): ObjectChange {
  const original = originals.get(keyOf(change));
  if (original !== undefined) return { type: "set", object: original };
  return { type: "deleted", ref: change.type === "set" ? refOf(change.object) : change.ref };
}

/**
 * The object as one that only its own namespace can see. Where it is and who may see it is not up to the mutation: an
 * object that moves to the neighbour, or lets everybody see it, would rightly change what others get.
 */
export function keepPrivate(object: MeshObject): MeshObject {
  if (object.meta.namespace === "") return object;
  const meta = { ...object.meta, namespace: "shop" };
  switch (object.kind) {
    case "Service":
      return {
        ...object,
        meta: { ...meta, annotations: { ...meta.annotations, "networking.istio.io/exportTo": "." } },
      };
    case "VirtualService":
      return { ...object, meta, spec: { ...object.spec, exportTo: ["."] } };
    case "DestinationRule":
      return { ...object, meta, spec: { ...object.spec, exportTo: ["."] } };
    case "ServiceEntry":
      return { ...object, meta, spec: { ...object.spec, exportTo: ["."] } };
    default:
      return { ...object, meta } as MeshObject;
  }
}

// Generators return the same message again where nothing changed: what was looked at once needs no second look.
const knownHashes = new WeakMap<object, string>();
const closelySeen = new WeakSet<object>();

/** A hash of the message's bytes, or of those it had when it was first seen. Throws where it cannot be encoded. */
function hashKnown(type: (typeof typeNames)[keyof ResourcesOfProxy], message: object): string {
  const known = knownHashes.get(message);
  if (known !== undefined) return known;
  const hash = contentHash(Buffer.from(encode(type, message)));
  knownHashes.set(message, hash);
  return hash;
}

/** A hash over all resources of a proxy; `find` may know that of a message, else it is encoded. */
function hashResources(
  resources: ResourcesOfProxy,
  find: (type: (typeof typeNames)[keyof ResourcesOfProxy], message: object) => string | undefined,
): string {
  const hashes = resourceKinds.flatMap((kind) =>
    resources[kind].map(
      ({ message }) => find(typeNames[kind], message) ?? contentHash(Buffer.from(encode(typeNames[kind], message))),
    ),
  );
  return contentHash(Buffer.from(hashes.join()));
}

/** What is wrong with the resources of one proxy. Throws where one cannot be encoded. */
function checkProxy(resources: ResourcesOfProxy, isClose: boolean): readonly string[] {
  const problems: string[] = [];
  for (const kind of resourceKinds) {
    const names = resources[kind].map(({ name }) => name);
    problems.push(...listRepeated(names).map((name) => `two ${kind} are named ${name}`));
    for (const { message } of resources[kind]) {
      if (!knownHashes.has(message)) problems.push(...checkMessage(kind, message));
      if (isClose && !closelySeen.has(message)) {
        problems.push(...findUnknownKeys(typeNames[kind], message));
        closelySeen.add(message);
      }
    }
  }
  problems.push(...checkAddresses(resources.listeners.map(({ message }) => message as Listener)));
  return problems;
}

function checkMessage(kind: keyof ResourcesOfProxy, message: object): readonly string[] {
  hashKnown(typeNames[kind], message);
  // The generators' types say so: only here are the resources of all kinds in one list.
  switch (kind) {
    case "clusters":
      return checkCluster(message as Cluster);
    case "endpoints":
      return checkEndpoints(message as ClusterLoadAssignment);
    case "listeners":
      return checkListener(message as Listener);
    case "routes":
      return checkRoute(message as RouteConfiguration);
    case "names":
      return checkNames(message as NameTable);
  }
}

/** Agents answer with these addresses as they are. */
function checkNames({ table = {} }: NameTable): readonly string[] {
  return Object.entries(table).flatMap(([host, { ips = [] }]) =>
    ips.length === 0 || ips.some((ip) => isIP(ip) === 0) ? [`${host} has the addresses "${ips.join()}"`] : [],
  );
}
