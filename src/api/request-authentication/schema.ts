/** RequestAuthentication (security.istio.io): which JSON Web Tokens workloads accept. */
import type { Static } from "typebox";
import type { ApiObject } from "../object.ts";
import { attachmentFields } from "../policy-attachment.ts";
import { type DeepReadonly, duration, flag, list, name, optional, record, text, texts } from "../schema-fields.ts";

export const jwtRuleSchema = record(
  {
    issuer: optional(text("Issuer of the tokens; may be left out where jwksUri is given.")),
    audiences: optional(texts("Audiences that a token may be for; the name of the service where not given.")),
    jwksUri: optional(text("Address of the key set, http or https; found at the issuer where not given.")),
    jwks: optional(text("The key set itself, as JSON text.")),
    fromHeaders: optional(
      list(
        record({
          name: name("Name of the header."),
          prefix: optional(text('Text in front of the token, such as "Bearer ".')),
        }),
        "Headers that may hold the token; Authorization with Bearer where no place is given.",
      ),
    ),
    fromParams: optional(texts("Query parameters that may hold the token.")),
    fromCookies: optional(texts("Cookies that may hold the token.")),
    outputPayloadToHeader: optional(text("Header that gets the payload of a good token, in base64.")),
    forwardOriginalToken: optional(flag("Leaves the token in the request for the workload.")),
    outputClaimToHeaders: optional(
      list(
        record({
          header: name('Header to write: letters, digits and "-".'),
          claim: name("Claim to take; dots lead into nested claims."),
        }),
        "Claims of a good token that are copied to headers.",
      ),
    ),
    timeout: optional(duration("How long to wait for the key set; 5s where not given, 1ms at least.")),
    spaceDelimitedClaims: optional(texts("Claims that are lists of words with spaces between, such as scope.")),
  },
  "Tokens of one issuer.",
);

export const requestAuthenticationSchema = record({
  ...attachmentFields,
  jwtRules: optional(list(jwtRuleSchema, "Tokens that are checked; one that matches no rule is refused.")),
});

export type JwtRule = DeepReadonly<Static<typeof jwtRuleSchema>>;
export type RequestAuthenticationSpec = DeepReadonly<Static<typeof requestAuthenticationSchema>>;
export type RequestAuthentication = ApiObject<"RequestAuthentication", RequestAuthenticationSpec>;
