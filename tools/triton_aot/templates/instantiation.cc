{
  $DECLARE_CONSTANTS$
  $CHECKS$ {
    void* rt_arguments[] = {$ARGUMENTS$};
    return rt::LaunchKernel($KERNEL$, rt_device, stream, $GRID$, rt_arguments, $COUNT$);
  }
}
