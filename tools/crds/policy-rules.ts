/** Refinements of the kinds of security.istio.io, telemetry.istio.io and extensions.istio.io. */
import type { Refinements } from "./refinement.ts";
import { attachmentRules, policySelectorRules, targetRefsRules } from "./shared-rules.ts";
import type { CelRule } from "./structural.ts";

export const peerAuthenticationRules: Refinements = {
  "": {
    rules: [
      {
        rule: "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)",
        message: "portLevelMtls needs a selector",
      },
    ],
  },
  portLevelMtls: {
    minProperties: 1,
    rules: [
      { rule: "self.all(port, 0 < int(port) && int(port) <= 65535)", message: "names must be ports from 1 to 65535" },
    ],
  },
  ...policySelectorRules("selector"),
};

export const authorizationPolicyRules: Refinements = {
  ...attachmentRules(),
  rules: { maxItems: 512 },
  "rules[].from": { maxItems: 512 },
  "rules[].from[].source": {
    rules: [
      {
        rule: "(!has(self.serviceAccounts) && !has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
        message: "serviceAccounts and notServiceAccounts do not go together with principals or namespaces",
      },
    ],
  },
  "rules[].from[].source.serviceAccounts": { maxItems: 16 },
  "rules[].from[].source.serviceAccounts[]": { maxLength: 320 },
  "rules[].from[].source.notServiceAccounts": { maxItems: 16 },
  "rules[].from[].source.notServiceAccounts[]": { maxLength: 320 },
};

const jwksUrl = {
  minLength: 1,
  maxLength: 2048,
  rules: [
    {
      rule: "isURL(self) && url(self).getScheme() in ['http', 'https']",
      message: "must be an http:// or https:// URL",
    },
  ],
};
const notEmpty = { minLength: 1 };

export const requestAuthenticationRules: Refinements = {
  ...attachmentRules(),
  jwtRules: { maxItems: 4096 },
  "jwtRules[]": { oneofs: [["jwksUri", "jwks"]], aliases: [["jwks_uri", "jwksUri"]] },
  "jwtRules[].issuer": notEmpty,
  "jwtRules[].jwksUri": jwksUrl,
  "jwtRules[].audiences[]": notEmpty,
  "jwtRules[].fromParams[]": notEmpty,
  "jwtRules[].fromCookies[]": notEmpty,
  "jwtRules[].outputClaimToHeaders[].header": { pattern: "^[-_A-Za-z0-9]+$" },
  "jwtRules[].spaceDelimitedClaims": { maxItems: 64 },
  "jwtRules[].spaceDelimitedClaims[]": notEmpty,
};

const tagValueRules: readonly CelRule[] = [
  {
    rule: "!has(self.operation) || self.operation != 'UPSERT' || (has(self.value) && self.value != '')",
    message: "operation UPSERT needs a value",
  },
  {
    rule: "!has(self.operation) || self.operation != 'REMOVE' || !has(self.value)",
    message: "operation REMOVE has no value",
  },
];

export const telemetryRules: Refinements = {
  ...attachmentRules(),
  "tracing[]": {
    nullable: [
      "disableContextPropagation",
      "disableSpanReporting",
      "enableIstioTags",
      "randomSamplingPercentage",
      "useRequestIdForTraceSampling",
    ],
  },
  "tracing[].randomSamplingPercentage": { minimum: 0, maximum: 100 },
  "tracing[].customTags{}": { oneofs: [["literal", "environment", "header", "formatter"]] },
  "metrics[].overrides[]": { nullable: ["disabled"] },
  "metrics[].overrides[].match": { oneofs: [["metric", "customMetric"]] },
  "metrics[].overrides[].match.customMetric": notEmpty,
  "metrics[].overrides[].tagOverrides{}": { rules: tagValueRules },
  "accessLogging[]": { nullable: ["disabled"] },
};

/** A Wasm module: the fields of a WasmPlugin's spec, and of `wasm` in a TrafficExtension. */
function wasmRules(prefix: string): Refinements {
  return {
    [`${prefix}url`]: {
      minLength: 1,
      rules: [
        {
          rule: "isURL(self) ? url(self).getScheme() in ['', 'http', 'https', 'oci', 'file'] : isURL('http://' + self)",
          message: "must be a URL with http, https, oci or file, or the name of an image",
        },
      ],
    },
    [`${prefix}imagePullSecret`]: { minLength: 1, maxLength: 253 },
    [`${prefix}pluginName`]: { minLength: 1, maxLength: 256 },
    [`${prefix}sha256`]: { pattern: "(^$|^[a-f0-9]{64}$)" },
    [`${prefix}vmConfig.env`]: { maxItems: 256, listMapKey: "name" },
    [`${prefix}vmConfig.env[]`]: {
      required: ["name"],
      rules: [
        {
          rule: "!has(self.value) || !has(self.valueFrom) || self.valueFrom != 'HOST'",
          message: "value does not go together with valueFrom HOST",
        },
      ],
    },
    [`${prefix}vmConfig.env[].name`]: { minLength: 1, maxLength: 256 },
    [`${prefix}vmConfig.env[].value`]: { maxLength: 2048 },
  };
}

const trafficMatchRules: Refinements = {
  "match[].ports": { listMapKey: "number" },
  "match[].ports[]": { required: ["number"] },
  "match[].ports[].number": { minimum: 1, maximum: 65535 },
};

export const wasmPluginRules: Refinements = {
  ...attachmentRules({ nullable: ["priority"] }),
  ...trafficMatchRules,
  ...wasmRules(""),
};

export const trafficExtensionRules: Refinements = {
  "": {
    nullable: ["priority"],
    oneofs: [["selector", "targetRefs"]],
    rules: [{ rule: "has(self.wasm) != has(self.lua)", message: "exactly one of wasm and lua must be set" }],
  },
  ...policySelectorRules("selector"),
  ...targetRefsRules,
  ...trafficMatchRules,
  ...wasmRules("wasm."),
  "lua.inlineCode": { minLength: 1, maxLength: 65536 },
};
