import { describeBehaviours } from "./runner.ts";

describeBehaviours("cors");
