/** Refinements of the parts that several kinds have in common. */
import type { Refinement, Refinements } from "./refinement.ts";
import type { CelRule } from "./structural.ts";

export const noStar: CelRule = {
  rule: "!self.contains('*')",
  message: '"*" has no meaning here: labels are compared as they are',
};
export const portRange: CelRule = { rule: "0 < self && self <= 65535", message: "must be a port from 1 to 65535" };

/** Labels that select; `maxProperties` bounds what the rules can cost. */
function selectorLabels(field: string, maxProperties: number): Refinements {
  return { [field]: { maxProperties }, [`${field}{}`]: { maxLength: 63, rules: [noStar] } };
}

/** The selector of type.istio.io below the field with the given name. */
export function policySelectorRules(field: string): Refinements {
  const labels = `${field}.matchLabels`;
  const rules = [
    {
      rule: "self.all(name, !name.contains('*'))",
      message: '"*" has no meaning here: labels are compared as they are',
    },
    { rule: "self.all(name, name != '')", message: "the name of a label must not be empty" },
  ];
  const { [labels]: limits, ...values } = selectorLabels(labels, 4096);
  return { [labels]: { ...limits, rules }, ...values };
}

/** The selector of networking.istio.io. */
export const networkSelectorRules: Refinements = selectorLabels("workloadSelector.labels", 256);

const targetReference: Refinements = {
  "": { required: ["kind", "name"] },
  group: { maxLength: 253, pattern: "^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$" },
  kind: { minLength: 1, maxLength: 63, pattern: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$" },
  name: { minLength: 1, maxLength: 253 },
  namespace: { rules: [{ rule: "self == ''", message: "must not be set: a policy reaches its own namespace only" }] },
};

export const targetRefRules: Refinements = below("targetRef", targetReference);
export const targetRefsRules: Refinements = { targetRefs: { maxItems: 16 }, ...below("targetRefs[]", targetReference) };

/** What attaches a policy: its selector, targetRef and targetRefs, of which one may be set. */
export function attachmentRules(spec: Refinement = {}): Refinements {
  return {
    "": { ...spec, oneofs: [["selector", "targetRef", "targetRefs"], ...(spec.oneofs ?? [])] },
    ...policySelectorRules("selector"),
    ...targetRefRules,
    ...targetRefsRules,
  };
}

/** Comparisons of text at the given paths. */
export function stringMatchRules(paths: readonly string[]): Refinements {
  return Object.fromEntries(paths.map((path) => [path, { oneofs: [["exact", "prefix", "regex"]] }]));
}

/** A workload outside of Kubernetes, at the given path ("" for the spec). */
export function workloadEntryRules(
  path: string,
  { isAddressRequired }: { readonly isAddressRequired: boolean },
): Refinements {
  const addressRule = {
    rule: "has(self.address) || has(self.network)",
    message: "address is required where there is no network",
  };
  return below(path, {
    "": {
      rules: [
        ...(isAddressRequired ? [addressRule] : []),
        {
          rule: "!has(self.ports) || !has(self.address) || !self.address.startsWith('unix://')",
          message: "a Unix socket has no ports",
        },
      ],
    },
    address: {
      maxLength: 256,
      rules: [
        {
          rule: "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')",
          message: "a Unix socket is given by its absolute path, or by @ and a name",
        },
        { rule: "!self.startsWith('unix://') || !self.endsWith('/')", message: "a Unix socket is not a folder" },
      ],
    },
    ports: {
      maxProperties: 128,
      rules: [
        {
          rule: "self.all(name, name.size() < 63 && name.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
          message: 'the name of a port has letters, digits and "-" only, and less than 63 of them',
        },
      ],
    },
    "ports{}": { rules: [portRange] },
    labels: { maxProperties: 256 },
    locality: { maxLength: 2048 },
    network: { maxLength: 2048 },
    serviceAccount: { maxLength: 253 },
  });
}

/** Refinements of a part, at its place. */
export function below(path: string, refinements: Refinements): Refinements {
  if (path === "") return refinements;
  return Object.fromEntries(
    Object.entries(refinements).map(([key, refinement]) => [key === "" ? path : `${path}.${key}`, refinement]),
  );
}
