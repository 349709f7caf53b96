import { afterAll, onTestFinished, test } from "vitest";
import { type RigOptions, XdsRig } from "./xds-client-rig.ts";

/**
 * Names the cases of the checklist as they are tested, and prints a table of them at the end: every number with "pass",
 * "FAIL" or the reason why it does not apply.
 */
export interface CaseTable {
  /** One case; with several parameters it passes where it passes with each. */
  add<Parameter>(
    number: string,
    title: string,
    parameters: readonly Parameter[],
    run: (parameter: Parameter) => Promise<void>,
  ): void;
  /** A case that does not apply, with the reason. */
  skip(number: string, reason: string): void;
}

export function createCaseTable(): CaseTable {
  const results = new Map<string, string>();
  afterAll(() => {
    const lines = [...results].map(([number, result]) => `${number} ${result}`);
    console.log(lines.join("\n"));
  });
  return {
    add: (number, title, parameters, run) => {
      for (const parameter of parameters) {
        const suffix = parameters.length > 1 || typeof parameter === "string" ? ` (${String(parameter)})` : "";
        test(`${number} ${title}${suffix}`, async () => {
          const isFirst = !results.has(number);
          if (isFirst) results.set(number, "pass");
          try {
            await run(parameter);
          } catch (cause) {
            results.set(number, "FAIL");
            throw cause;
          }
        });
      }
    },
    skip: (number, reason) => {
      results.set(number, `does not apply: ${reason}`);
    },
  };
}

/** A rig that ends with the test. */
export async function startRig(options: RigOptions = {}): Promise<XdsRig> {
  const rig = await XdsRig.start(options);
  onTestFinished(() => rig.stop());
  return rig;
}
