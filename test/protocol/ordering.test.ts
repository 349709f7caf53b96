/** Section E of the checklist, as far as it is the stream's: order, warming, scoping; in both variants. */
import { expect } from "vitest";
import type { XdsLimits } from "../../src/xds/limits.ts";
import type { Received, Variant, XdsStream } from "../support/xds-client.ts";
import { cases, startRig } from "../support/xds-client-cases.ts";
import { nodeOf, type TableType, typeUrls, type XdsRig } from "../support/xds-client-rig.ts";

const variants: readonly Variant[] = ["sotw", "delta"];
const types: readonly TableType[] = ["cds", "eds", "lds", "rds"];

/** A client of all four types on one stream, as Envoy is one; it answers only where a test says so. */
class Mesh {
  readonly rig: XdsRig;
  readonly stream: XdsStream;
  readonly #names = new Map<TableType, readonly string[]>();
  readonly #variant: Variant;

  constructor(rig: XdsRig, variant: Variant) {
    this.rig = rig;
    this.#variant = variant;
    this.stream = rig.open(variant);
  }

  ask(type: TableType, names: readonly string[]): void {
    const before = this.#names.get(type);
    this.#names.set(type, names);
    const head = { node: nodeOf(), type_url: typeUrls[type] };
    if (this.#variant === "sotw") this.stream.send({ ...head, resource_names: names });
    else this.stream.send({ ...head, resource_names_subscribe: names.filter((name) => !before?.includes(name)) });
  }

  /** Asks as a client does in the midst of a stream: with the last answer. */
  askOnTop(type: TableType, names: readonly string[]): void {
    const last = this.stream.received.findLast(({ typeUrl }) => typeUrl === typeUrls[type]);
    if (this.#variant === "sotw" && last !== undefined) {
      this.#names.set(type, names);
      this.ack(last);
    } else this.ask(type, names);
  }

  ack({ typeUrl, nonce, version }: Received): void {
    const type = types.find((each) => typeUrls[each] === typeUrl) ?? "cds";
    if (this.#variant === "delta") this.stream.send({ type_url: typeUrl, response_nonce: nonce });
    else {
      const resource_names = this.#names.get(type) ?? [];
      this.stream.send({ type_url: typeUrl, response_nonce: nonce, version_info: version, resource_names });
    }
  }

  async nextAck(): Promise<Received> {
    const response = await this.stream.next();
    this.ack(response);
    return response;
  }

  /** Asks for everything, a type after the other, and takes it. */
  async begin(routes = ["r"], endpoints = ["x", "y"]): Promise<void> {
    for (const [type, names] of [
      ["cds", []],
      ["eds", endpoints],
      ["lds", []],
      ["rds", routes],
    ] as const) {
      this.ask(type, names);
      expect((await this.nextAck()).typeUrl).toBe(typeUrls[type]);
    }
  }

  /** Fails where anything comes; asking for a name that was not asked for is answered. */
  async quiet(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      if (this.#variant === "sotw") {
        this.stream.send({ node: nodeOf(), type_url: typeUrls.rds, resource_names: this.#names.get("rds") ?? [] });
      } else this.stream.send({ type_url: typeUrls.rds, resource_names_subscribe: ["barrier"] });
      const response = await this.nextAck();
      if (response.typeUrl !== typeUrls.rds) throw new Error(`unexpected response of ${response.typeUrl}`);
    }
    expect(this.stream.untaken).toBe(0);
  }
}

async function begin(variant: Variant, limits: Partial<XdsLimits> = {}): Promise<Mesh> {
  const rig = await startRig({ limits });
  rig.set("cds", "x", 1).set("cds", "y", 1).set("eds", "x", 1).set("eds", "y", 1);
  rig.set("lds", "l", 1).set("rds", "r", 1).commit();
  const mesh = new Mesh(rig, variant);
  await mesh.begin();
  return mesh;
}

/** Routes to a cluster in everything that the client was sent. */
function countRoutesTo({ stream }: Mesh, cluster: string): number {
  const resources = stream.received.flatMap((response) => response.resources);
  return resources.filter(({ typeUrl, message }) => {
    return typeUrl === typeUrls.rds && JSON.stringify(message).includes(`"cluster":"${cluster}"`);
  }).length;
}

const shortOf = ({ typeUrl }: Received): string => types.find((type) => typeUrls[type] === typeUrl) ?? typeUrl;

cases.add("E-1", "no type waits for one that was not asked for", variants, async (variant) => {
  const rig = await startRig();
  rig.set("rds", "r", 1).commit();
  const mesh = new Mesh(rig, variant);
  mesh.ask("rds", ["r"]);
  expect((await mesh.nextAck()).names).toEqual(["r"]);
});

cases.add("E-2", "one change comes as clusters, endpoints, listeners, routes", variants, async (variant) => {
  const mesh = await begin(variant);
  for (const [type, name] of [
    ["rds", "r"],
    ["lds", "l"],
    ["eds", "x"],
    ["cds", "x"],
  ] as const)
    mesh.rig.set(type, name, 2);
  mesh.rig.commit();
  const order: string[] = [];
  for (let count = 0; count < 4; count++) order.push(shortOf(await mesh.nextAck()));
  expect(order).toEqual(["cds", "eds", "lds", "rds"]);
  await mesh.quiet();
});

cases.add("E-2", "clusters that never stop changing do not keep routes waiting", variants, async (variant) => {
  const mesh = await begin(variant, { debounceQuietMs: 0 });
  let version = 1;
  // In every turn of the event loop, so that clusters are always new when it is this client's turn; not without end.
  const change = (): void => {
    version += 1;
    mesh.rig.set("cds", "x", version).commit();
    if (version < mostChanges) setImmediate(change);
  };
  mesh.rig.set("rds", "r", 2);
  change();
  let response = await mesh.nextAck();
  while (response.typeUrl !== typeUrls.rds) response = await mesh.nextAck();
  const versionThen = version;
  version = mostChanges;
  expect(versionThen).toBeLessThan(mostChanges);
});

const mostChanges = 3_000;

cases.add("E-3", "a cluster goes after listeners and routes without it were taken", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("rds", "r", 2).set("cds", "y", undefined).commit();
  const routes = await mesh.stream.next();
  expect(shortOf(routes)).toBe("rds");
  expect(mesh.stream.untaken).toBe(0);
  mesh.ack(routes);
  const clusters = await mesh.nextAck();
  expect(shortOf(clusters)).toBe("cds");
  expect([clusters.names, clusters.removed]).toEqual(variant === "sotw" ? [["x"], []] : [[], ["y"]]);
});

cases.add("E-3", "a cluster that is to go keeps its endpoints", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("rds", "r", 2).set("cds", "y", undefined).set("eds", "y", 2).set("eds", "x", 2).commit();
  const endpoints = await mesh.nextAck();
  expect([shortOf(endpoints), endpoints.names]).toEqual(["eds", ["x"]]);
  expect(shortOf(await mesh.nextAck())).toBe("rds");
  expect(shortOf(await mesh.nextAck())).toBe("cds");
});

cases.add("E-3", "a cluster stays while routes without it are refused", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("rds", "r", 2).set("cds", "y", undefined).commit();
  const { nonce } = await mesh.stream.next();
  const refusal = { type_url: typeUrls.rds, response_nonce: nonce, error_detail: { code: 13, message: "no" } };
  mesh.stream.send(variant === "sotw" ? { ...refusal, resource_names: ["r"] } : refusal);
  mesh.ask("eds", ["x", "y", "barrier"]);
  expect(shortOf(await mesh.nextAck())).toBe("eds");
  expect(mesh.stream.received.filter((response) => shortOf(response) === "cds")).toHaveLength(1);
});

cases.add(
  "E-4",
  "no route comes before the cluster that it names, also when clusters wait",
  variants,
  async (variant) => {
    const mesh = await begin(variant);
    mesh.rig.set("cds", "x", 2).commit();
    const first = await mesh.stream.next();
    expect(shortOf(first)).toBe("cds");
    await mesh.nextAck(); // endpoints of the updated cluster
    // Not answered yet: the cluster of the next change has to wait, and its route with it.
    mesh.rig.set("cds", "z", 1).set("rds", "r", 2).commit();
    mesh.ack(first);
    const order = [shortOf(await mesh.nextAck()), shortOf(await mesh.nextAck())];
    expect(order).toEqual(["cds", "rds"]);
  },
);

cases.add("E-4", "a route to a new cluster waits until its endpoints were taken", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("cds", "z", 1).set("eds", "z", 1).setRoute("r", "z").commit();
  const clusters = await mesh.stream.next();
  expect(shortOf(clusters)).toBe("cds");
  // Neither before the client took the cluster nor before it asked for the endpoints and took them.
  expect(mesh.stream.untaken).toBe(0);
  mesh.ack(clusters);
  mesh.ask("eds", ["x", "y", "z"]);
  const endpoints = await mesh.stream.next();
  expect(shortOf(endpoints)).toBe("eds");
  expect(mesh.stream.untaken).toBe(0);
  mesh.ack(endpoints);
  expect(shortOf(await mesh.nextAck())).toBe("rds");
  await mesh.quiet();
});

cases.add("E-4", "a client that never asks for the endpoints gets the route in the end", variants, async (variant) => {
  const mesh = await begin(variant, { warmingMs: 50 });
  mesh.rig.set("cds", "z", 1).set("eds", "z", 1).setRoute("r", "z").commit();
  expect(shortOf(await mesh.nextAck())).toBe("cds");
  expect(shortOf(await mesh.nextAck())).toBe("rds");
  mesh.rig.setRoute("r", "x").commit();
  expect(shortOf(await mesh.nextAck())).toBe("rds");
});

cases.add("E-5", "endpoints of an updated cluster come again though unchanged", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("cds", "x", 2).commit();
  expect(shortOf(await mesh.nextAck())).toBe("cds");
  const endpoints = await mesh.nextAck();
  expect([shortOf(endpoints), endpoints.names]).toEqual(["eds", ["x"]]);
  await mesh.quiet();
});

cases.add("E-6", "a new name of routes is answered though unchanged", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("rds", "s", 1).commit();
  mesh.rig.set("lds", "l", 2).commit();
  const listeners = await mesh.nextAck();
  expect(shortOf(listeners)).toBe("lds");
  mesh.ask("rds", ["r", "s"]);
  expect((await mesh.nextAck()).names).toContain("s");
});

cases.add(
  "E-6",
  "routes asked for as if they were taken already are sent again after listeners",
  ["sotw"] as const,
  async () => {
    const mesh = await begin("sotw");
    const routes = mesh.stream.received.find((response) => shortOf(response) === "rds");
    mesh.rig.set("lds", "l", 2).commit();
    await mesh.nextAck();
    if (routes !== undefined) mesh.ack(routes);
    expect((await mesh.nextAck()).names).toEqual(["r"]);
  },
);

cases.add("E-7", "what one stream has another one gets too", variants, async (variant) => {
  const mesh = await begin(variant);
  await new Mesh(mesh.rig, variant).begin();
});

cases.add("E-8", "a route to a refused cluster waits, others do not", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("cds", "bad", 1).set("eds", "bad", 1).setRoute("r", "bad").set("rds", "s", 1).commit();
  const clusters = await mesh.stream.next();
  const refusal = { type_url: typeUrls.cds, response_nonce: clusters.nonce };
  mesh.stream.send({ ...refusal, error_detail: { code: 13, message: "Error adding/updating cluster(s) bad: no" } });
  mesh.rig.set("lds", "l", 2).commit();
  expect(shortOf(await mesh.nextAck())).toBe("lds");
  mesh.askOnTop("rds", ["r", "s"]);
  const routes = await mesh.nextAck();
  expect([shortOf(routes), routes.names]).toEqual(["rds", ["s"]]);
  expect(countRoutesTo(mesh, "bad")).toBe(0);
  // Another form, which the client takes: now the route may come.
  mesh.rig.set("cds", "bad", 2).commit();
  while (shortOf(await mesh.nextAck()) !== "cds");
  mesh.ask("eds", ["x", "y", "bad"]);
  expect(shortOf(await mesh.nextAck())).toBe("eds");
  expect(shortOf(await mesh.nextAck())).toBe("rds");
  expect(countRoutesTo(mesh, "bad")).toBe(1);
});

cases.add("E-11", "whatever a client may wait for is answered, known or not", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.ask("eds", ["x", "y", "unknown"]);
  const endpoints = await mesh.nextAck();
  expect(shortOf(endpoints)).toBe("eds");
  mesh.ask("rds", ["r", "unknown"]);
  expect(shortOf(await mesh.nextAck())).toBe("rds");
});

cases.add("E-12", "a change of endpoints sends endpoints alone", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("eds", "x", 2).commitEndpoints("x");
  const response = await mesh.nextAck();
  expect([shortOf(response), response.names]).toEqual(["eds", ["x"]]);
  await mesh.quiet();
});

cases.add("E-13", "a change of others is not sent", variants, async (variant) => {
  const mesh = await begin(variant);
  mesh.rig.set("cds", "z", 1, "elsewhere").set("lds", "z", 1, "elsewhere").commit();
  await mesh.quiet();
});
