/**
 * Envoy's runtime (docs: configuration/operations/runtime): keys from the layers of the bootstrap, later layers over
 * earlier ones. Layers are static or the administrator's; those on disk or over xDS are refused.
 */
import { type Json, structToJson } from "@meltemi/protos";
import type { LayeredRuntime as Wire } from "@meltemi/protos/envoy/config/bootstrap/v3";
import type { RuntimeFractionalPercent } from "@meltemi/protos/envoy/config/core/v3";
import type { FractionalPercent } from "@meltemi/protos/envoy/type/v3";
import { ConfigError } from "../lib/config-error.ts";
import type { Runtime } from "./runtime.ts";

const denominators: ReadonlyMap<string, number> = new Map([
  ["HUNDRED", 100],
  ["TEN_THOUSAND", 10_000],
  ["MILLION", 1_000_000],
]);

/** Compiles the layers; where there are none, one is the administrator's. Throws ConfigError for a kind that is not supported. */
export function createLayeredRuntime(config: Wire | undefined): Runtime {
  const fixed: (ReadonlyMap<string, unknown> | "admin")[] = [];
  for (const [index, layer] of (config?.layers ?? []).entries()) {
    for (const kind of ["disk_layer", "rtds_layer"] as const) {
      if (layer[kind] !== undefined) {
        throw new ConfigError(`layered_runtime.layers[${index}].${kind}`, "is not supported");
      }
    }
    if (layer.admin_layer !== undefined) fixed.push("admin");
    if (layer.static_layer === undefined) continue;
    const own = new Map<string, unknown>();
    addEntries(own, "", structToJson(layer.static_layer));
    fixed.push(own);
  }
  if ((config?.layers ?? []).length === 0) fixed.push("admin");
  const admin = new Map<string, unknown>();
  const merge = (): ReadonlyMap<string, unknown> =>
    new Map(fixed.flatMap((layer) => [...(layer === "admin" ? admin : layer)]));
  let entries = merge();
  return {
    modify(overrides) {
      if (!fixed.includes("admin")) return false;
      for (const [key, value] of overrides) {
        if (value === "") admin.delete(key);
        else admin.set(key, value);
      }
      entries = merge();
      return true;
    },
    number: (key, otherwise) => asNumber(entries.get(key)) ?? otherwise,
    flag: (key, otherwise) => asFlag(entries.get(key)) ?? otherwise,
    isChosen: (fraction, dice) => dice < shareOf(fraction, entries),
    entries: () => entries,
  };
}

/** Keys of nested objects join by dots; an object with a numerator is a fraction and stays whole. */
function addEntries(entries: Map<string, unknown>, prefix: string, object: { readonly [key: string]: Json }): void {
  for (const [name, member] of Object.entries(object)) {
    const key = prefix === "" ? name : `${prefix}.${name}`;
    if (isObject(member) && !("numerator" in member)) addEntries(entries, key, member);
    else entries.set(key, member);
  }
}

/** Of all calls, from 0 to 1. A number in the runtime counts in hundreds, whatever the denominator of the default is. */
function shareOf(fraction: RuntimeFractionalPercent | undefined, entries: ReadonlyMap<string, unknown>): number {
  if (fraction === undefined) return 1;
  const value = fraction.runtime_key ? entries.get(fraction.runtime_key) : undefined;
  if (isObject(value)) return partOf(value as FractionalPercent);
  const percent = asNumber(value);
  return percent === undefined ? partOf(fraction.default_value ?? {}) : percent / 100;
}

function partOf({ numerator = 0, denominator = "HUNDRED" }: FractionalPercent): number {
  return numerator / (denominators.get(denominator) ?? 100);
}

function asNumber(value: unknown): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const parsed = Number(value);
  return Number.isNaN(parsed) ? undefined : parsed;
}

function asFlag(value: unknown): boolean | undefined {
  if (typeof value === "boolean") return value;
  if (typeof value === "number") return value !== 0;
  if (typeof value !== "string") return undefined;
  if (/^true$/i.test(value)) return true;
  return /^false$/i.test(value) ? false : undefined;
}

function isObject(value: unknown): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
