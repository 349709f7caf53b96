import { describeBehaviours } from "./runner.ts";

describeBehaviours("gateways");
