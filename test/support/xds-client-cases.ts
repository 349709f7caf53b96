import { onTestFinished, test } from "vitest";
import { type RigOptions, XdsRig } from "./xds-client-rig.ts";

/**
 * Cases of the checklist. Their tests begin with the number, from which the end of a run makes the table of all numbers
 * (checklist.ts).
 */
export const cases = {
  /** One case; with several parameters it passes where it passes with each. */
  add<Parameter>(
    number: string,
    title: string,
    parameters: readonly Parameter[],
    run: (parameter: Parameter) => Promise<void>,
  ): void {
    for (const parameter of parameters) {
      const suffix = parameters.length > 1 || typeof parameter === "string" ? ` (${String(parameter)})` : "";
      test(`${number} ${title}${suffix}`, () => run(parameter));
    }
  },
  /** A case that does not apply: `run` shows that what it is about is not offered. */
  addNotOffered(number: string, reason: string, run: () => Promise<void>): void {
    test(`${number} does not apply: ${reason}`, run);
  },
};

/** A rig that ends with the test. */
export async function startRig(options: RigOptions = {}): Promise<XdsRig> {
  const rig = await XdsRig.start(options);
  onTestFinished(() => rig.stop());
  return rig;
}
