$PROTOTYPE$ {
  rt::KernelDevice rt_device;
  ::rules_torch::Status rt_status;
  if (!rt::FindDevice(kLibrary, "$NAME$", &rt_device, &rt_status)) return rt_status;
  $DECLARE_MISFITS$
  $INSTANTIATIONS$
  $RETURN_MISFITS$
}
