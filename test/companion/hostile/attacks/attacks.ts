/** All attacks of clients by name. */
import type { BeginAttack } from "./crowd.ts";
import * as http2 from "./http2-floods.ts";
import * as heads from "./oversized-heads.ts";
import * as slow from "./slow-clients.ts";
import * as tls from "./tls-clients.ts";

export const attacks = { ...slow, ...heads, ...http2, ...tls } satisfies Readonly<Record<string, BeginAttack>>;
export type AttackName = keyof typeof attacks;
