/** Generated resources with the patches of their key carried out. */
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { TypedExtensionConfig } from "@meltemi/protos/envoy/config/core/v3";
import type { Listener } from "@meltemi/protos/envoy/config/listener/v3";
import type { RouteConfiguration } from "@meltemi/protos/envoy/config/route/v3";
import { type ObjectRef, objectKey } from "../../lib/message.ts";
import { createSlotMemo, type SlotMemo } from "../../lib/slot-memo.ts";
import type { Built } from "../built.ts";
import { listAddedClusters, patchCluster } from "./cluster.ts";
import type { CompiledPatch } from "./compile-filter.ts";
import { listAddedListeners, patchListener } from "./listener.ts";
import { createLedger, noNotes, type PatchLedger, type PatchNotes } from "./patch-notes.ts";
import type { PatchTable } from "./patch-table.ts";
import { patchRouteConfiguration } from "./route-configuration.ts";
import type { RoutePlace } from "./route-match.ts";

/** What a generator gave, patched, and what became of the patches. */
export interface Patched<Wire> {
  readonly built: readonly Built<Wire>[];
  readonly notes: PatchNotes;
}

/** Listeners with all patches; those that no patch is for are the same objects. */
export function patchListeners(built: readonly Built<Listener>[], table: PatchTable): Patched<Listener> {
  if (table.all.length === 0) return { built, notes: table.notes };
  const patchOne = createPatcher(keptListeners, table, "", (message, ledger) => patchListener(message, table, ledger));
  return patchAll(built, { table, added: listAddedListeners(table), patchOne });
}

/** As patchListeners; `hostsOf` gives the services of inbound clusters. */
export function patchClusters(
  built: readonly Built<Cluster>[],
  table: PatchTable,
  hostsOf: (name: string) => readonly string[],
): Patched<Cluster> {
  if (table.all.length === 0) return { built, notes: table.notes };
  const added = listAddedClusters(table);
  return patchAll(built, {
    table,
    added,
    patchOne: (each, ledger) => {
      const hosts = hostsOf(each.name);
      const patchOne = createPatcher(keptClusters, table, hosts.join(" "), (message, own) =>
        patchCluster(message, { table, hosts }, own),
      );
      return patchOne(each, ledger);
    },
  });
}

/** A route configuration with all patches; the same object where no patch is for it. */
export function patchRoute(
  built: Built<RouteConfiguration>,
  table: PatchTable,
  place: RoutePlace,
): Patched<RouteConfiguration> {
  if (table.all.length === 0) return { built: [built], notes: noNotes };
  const slot = [...(place.serverPorts ?? ["?"])].join(" ");
  const patchOne = createPatcher(keptRoutes, table, slot, (message, ledger) =>
    patchRouteConfiguration(message, { table, place }, ledger),
  );
  const ledger = createLedger();
  return { built: [patchOne(built, ledger) ?? built], notes: ledger };
}

/** The configuration of an extension that patches add under a name; the first one counts. */
export function findExtensionConfig(table: PatchTable, name: string): Built<TypedExtensionConfig> | undefined {
  const patch = listExtensionConfigs(table).get(name);
  if (patch === undefined) return undefined;
  return { name, message: patch.value as TypedExtensionConfig, sources: [patch.source.object] };
}

/** Patches that add configurations of extensions, by name. */
export function listExtensionConfigs(table: PatchTable): ReadonlyMap<string, CompiledPatch> {
  const configs = new Map<string, CompiledPatch>();
  for (const patch of table.of("EXTENSION_CONFIG")) {
    const { name = "" } = (patch.value ?? {}) as TypedExtensionConfig;
    if (patch.operation === "ADD" && name !== "" && !configs.has(name)) configs.set(name, patch);
  }
  return configs;
}

interface PatchedMessage<Wire> {
  /** Undefined where a patch removed it. */
  readonly message: Wire | undefined;
  readonly notes: PatchNotes;
}

const keptListeners = createSlotMemo<PatchedMessage<Listener>>(64);
const keptClusters = createSlotMemo<PatchedMessage<Cluster>>(64);
const keptRoutes = createSlotMemo<PatchedMessage<RouteConfiguration>>(64);

type PatchOne<Wire> = (built: Built<Wire>, ledger: PatchLedger) => Built<Wire> | undefined;

/** Keeps what became of a message under the very same patches. */
function createPatcher<Wire extends object>(
  kept: SlotMemo<PatchedMessage<Wire>>,
  table: PatchTable,
  slot: string,
  patch: (message: Wire, ledger: PatchLedger) => Wire | undefined,
): PatchOne<Wire> {
  return (built, ledger) => {
    const place = { owner: built.message, slot: `${table.id} ${slot}` };
    const { message, notes } = kept(place, table.all, () => {
      const own = createLedger();
      return { message: patch(built.message, own), notes: own };
    });
    ledger.add(notes);
    if (message === built.message) return built;
    return message && { name: built.name, message, sources: addSources(built.sources, notes.hits) };
  };
}

function addSources(sources: readonly ObjectRef[], hits: ReadonlySet<CompiledPatch>): readonly ObjectRef[] {
  const refs = new Map(sources.map((ref) => [objectKey(ref), ref]));
  for (const { source } of hits) refs.set(objectKey(source.object), source.object);
  return [...refs.values()];
}

interface PatchPlan<Wire> {
  readonly table: PatchTable;
  readonly added: readonly CompiledPatch[];
  readonly patchOne: PatchOne<Wire>;
}

/** What is added comes last and is not patched again. Of one name there may be one: the earlier stays. */
function patchAll<Wire extends { readonly name?: string | undefined }>(
  built: readonly Built<Wire>[],
  { table, added, patchOne }: PatchPlan<Wire>,
): Patched<Wire> {
  const ledger = createLedger();
  ledger.add(table.notes);
  const patched = built.flatMap((each) => {
    const result = patchOne(each, ledger);
    // A patch may have given it another name.
    return result === undefined ? [] : [result === each ? each : { ...result, name: result.message.name ?? each.name }];
  });
  const names = new Set(patched.map(({ name }) => name));
  for (const patch of added) {
    const message = patch.value as Wire;
    const { name = "" } = message;
    if (name === "") ledger.fail(patch, "what is added needs a name");
    else if (names.has(name)) ledger.fail(patch, `there is one with the name ${name} already`);
    else {
      names.add(name);
      ledger.hit(patch);
      patched.push({ name, message, sources: [patch.source.object] });
    }
  }
  const isSame = patched.length === built.length && patched.every((each, index) => each === built[index]);
  return { built: isSame ? built : patched, notes: ledger };
}
