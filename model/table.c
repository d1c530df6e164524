int sv_tp(void); int sv_tp(void){return 0;}
