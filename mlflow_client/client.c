int mlf_placeholder(void);
int mlf_placeholder(void){return 0;}
