import { describeBehaviours } from "./runner.ts";

describeBehaviours("mesh-config");
