/** Envoy's runtime: values by key, from the layers of the bootstrap, that fractions and switches of filters consult. */
import type { RuntimeFractionalPercent } from "@meltemi/protos/envoy/config/core/v3";

export interface Runtime {
  /** The value of a key where a layer has it and it is a number. */
  number(key: string, otherwise: number): number;
  flag(key: string, otherwise: boolean): boolean;
  /** Draws: true for the given part of all calls. `dice` is at least 0 and less than 1. */
  isChosen(fraction: RuntimeFractionalPercent | undefined, dice: number): boolean;
  /** For /runtime. */
  entries(): ReadonlyMap<string, unknown>;
  /** Overrides values for /runtime_modify ("" takes an override back). False where no layer is the administrator's. */
  modify?(overrides: ReadonlyMap<string, string>): boolean;
}
