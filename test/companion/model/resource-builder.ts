/** The resources of worlds, each built once: worlds share most of what they are made of. */
import type { IssuedCertificate } from "../../support/test-authority.ts";
import type { ResourceKind } from "./changes.ts";
import { buildAssignment, buildCluster, type Ports } from "./wire-clusters.ts";
import { buildListener, buildSecret } from "./wire-listeners.ts";
import { buildTable } from "./wire-routes.ts";
import type { World } from "./world.ts";

export type Resources = Readonly<Record<ResourceKind, ReadonlyMap<string, Uint8Array>>>;

export class ResourceBuilder {
  readonly #ports: Ports;
  /** By common name. */
  readonly #certificates: ReadonlyMap<string, IssuedCertificate>;
  readonly #built = new WeakMap<object, Map<ResourceKind, Uint8Array>>();

  constructor(ports: Ports, certificates: ReadonlyMap<string, IssuedCertificate>) {
    this.#ports = ports;
    this.#certificates = certificates;
  }

  build(world: World): Resources {
    const ports = this.#ports;
    const clusters = [...world.clusters.values()];
    const byEds = clusters.filter(({ isByEds }) => isByEds);
    return {
      cds: new Map(clusters.map((spec) => [spec.name, this.#once("cds", spec, () => buildCluster(spec, ports))])),
      eds: new Map(byEds.map((spec) => [spec.name, this.#once("eds", spec, () => buildAssignment(spec, ports))])),
      lds: new Map(
        [...world.listeners.values()].map((spec) => [
          spec.slot,
          this.#once("lds", spec, () => buildListener(spec, ports)),
        ]),
      ),
      rds: new Map(
        [...world.tables.values()].map((spec) => [spec.name, this.#once("rds", spec, () => buildTable(spec))]),
      ),
      sds: new Map([...world.certificates].map(([secret, name]) => [secret, this.#buildSecret(secret, name)])),
    };
  }

  #once(kind: ResourceKind, spec: object, build: () => Uint8Array): Uint8Array {
    const built = this.#built.get(spec) ?? new Map<ResourceKind, Uint8Array>();
    this.#built.set(spec, built);
    const bytes = built.get(kind) ?? build();
    built.set(kind, bytes);
    return bytes;
  }

  #buildSecret(secret: string, name: string): Uint8Array {
    const certificate = this.#certificates.get(name);
    if (certificate === undefined) throw new Error(`there is no certificate ${name}`);
    return buildSecret(secret, certificate);
  }
}
