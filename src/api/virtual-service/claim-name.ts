const claimPrefix = "@request.auth.claims";

/**
 * True for a name of a header match that stands for a claim of the caller's token: "@request.auth.claims.a.b" or
 * "@request.auth.claims[a][b]" (Istio's pkg/jwt/routing.go).
 */
export function isClaimName(name: string): boolean {
  if (!name.toLowerCase().startsWith(claimPrefix)) return false;
  const rest = name.slice(claimPrefix.length);
  if (rest.startsWith(".")) return rest.length > 1;
  return rest.startsWith("[") && rest.endsWith("]") && rest.length > 2;
}
