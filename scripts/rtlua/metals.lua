-- Measured complex refractive indices eta + i k of the metals that rt.metal knows by name, at 611.4, 549.1 and 464.2
-- nm, the dominant wavelengths of the Rec. 709 primaries; between neighbouring measurements interpolated linearly over
-- wavelength.
--
-- Gold, silver, copper: Johnson & Christy 1972, "Optical Constants of the Noble Metals", Phys. Rev. B 6, 4370. Iron:
-- Johnson & Christy 1974, "Optical constants of transition metals", Phys. Rev. B 9, 5056. Aluminium: Rakic 1995,
-- "Algorithm for the determination of intrinsic optical constants of metal films", Appl. Opt. 34, 4755. The tables were
-- read from the refractiveindex.info database (CC0).

local metals = {
  aluminium = { eta = { 1.3216, 1.0114, 0.6832 }, k = { 7.3112, 6.6169, 5.6254 } },
  copper = { eta = { 0.3622, 1.0152, 1.2465 }, k = { 3.1270, 2.5789, 2.4528 } },
  gold = { eta = { 0.2224, 0.4279, 1.3346 }, k = { 3.2084, 2.4611, 1.8718 } },
  iron = { eta = { 2.8896, 2.9500, 2.6428 }, k = { 3.0404, 2.9302, 2.8030 } },
  silver = { eta = { 0.0584, 0.0599, 0.0465 }, k = { 4.1062, 3.5901, 2.7945 } },
}

return metals
