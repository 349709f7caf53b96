/** One way to set values of the chart, with what has to come out, and ways to say that. */
import { expect } from "vitest";
import { findManifest, type Manifest, type Values, valueAt } from "./chart-rendering.ts";

export interface ChartVariant {
  readonly values: Values;
  check(manifests: readonly Manifest[]): void;
}

export const deployment = (manifests: readonly Manifest[]): Manifest => findManifest(manifests, "Deployment");
export const podSpec = (manifests: readonly Manifest[]): unknown =>
  valueAt(deployment(manifests), "spec.template.spec");
export const container = (manifests: readonly Manifest[]): unknown => valueAt(podSpec(manifests), "containers.0");
export const hasKind = (manifests: readonly Manifest[], kind: string): boolean =>
  manifests.some((object) => object.kind === kind);

/** Values of the variables of the environment, by name. */
export function environmentOf(manifests: readonly Manifest[]): Readonly<Record<string, string>> {
  const list = valueAt(container(manifests), "env") as readonly { readonly name: string; readonly value?: string }[];
  return Object.fromEntries(list.map(({ name, value }) => [name, value ?? "(from the pod)"]));
}

/** A value that ends up as it is at one place of one kind of object. */
export function placed(values: Values, kind: string, path: string, expected: unknown): ChartVariant {
  return {
    values,
    check: (manifests) => expect(valueAt(findManifest(manifests, kind), path)).toEqual(expected),
  };
}

export const withVariable = (values: Values, name: string, value: string | undefined): ChartVariant => ({
  values,
  check: (manifests) => expect(environmentOf(manifests)[name]).toBe(value),
});
