import { describeBehaviours } from "./runner.ts";

describeBehaviours("upstream-tls");
